//! Takes over what an earlier daemon has left: running units stay as they are.

use std::collections::BTreeMap;

use names::UnitName;

use super::memory::CountedEnd;
use super::{Driver, Found, Survivor, UnitMemory, World};
use crate::life::{EndReason, Event, Life, Operation, Phase, StopReason, Trouble};

impl<W: World> Driver<W> {
    pub(super) fn adopt(&mut self, found: &Found) {
        self.memory = found.memory.clone();
        self.configs = found.memory.configs.clone();
        self.hand = found.hand.clone();
        if let Some(spec) = &found.spec {
            let wanted = found.memory.wanted.unwrap_or(names::PodState::Running);
            self.life = Life::new(spec, wanted);
            self.spec = Some(std::sync::Arc::clone(spec));
        }
        if let Some(at) = found.memory.tick_at_ms {
            self.life.tick.want(at);
        }
        self.life.removed = !found.remains;
        self.life.collected = !found.remains;
        self.place_units(found);
        self.take_in_ends(found);
        let running: Vec<_> = found.running.keys().cloned().collect();
        for unit in running {
            self.watch_end(unit);
        }
    }

    /// Takes over units that run although they were thought not to.
    pub(super) fn take_over(&mut self, survivors: &BTreeMap<UnitName, Survivor>) {
        for (unit, survivor) in survivors {
            self.apply(Event::Survived {
                unit: unit.clone(),
                since: survivor.since_ms,
                start_count: survivor.start_count,
                incomplete: survivor.incomplete.clone(),
            });
            self.watch_end(unit.clone());
        }
    }

    fn place_units(&mut self, found: &Found) {
        let now = self.clock.now_ms();
        for unit in &mut self.life.units {
            let memory = found.memory.units.get(&unit.name);
            let memory = memory.cloned().unwrap_or_default();
            let has_probe = found
                .spec
                .as_ref()
                .and_then(|spec| spec.unit(&unit.name))
                .is_some_and(|unit| unit.startup_probe.is_some());
            unit.start_count = memory.start_count;
            unit.counted_from = memory.counted_from;
            unit.failures = memory.failures;
            unit.started = memory.started;
            let run = match (found.running.get(&unit.name), found.exited.get(&unit.name)) {
                (Some((since, start_count)), _) => (*since, *start_count),
                (None, Some((at, start_count, _))) if says_something(&memory, *start_count) => {
                    (*at, *start_count)
                }
                (None, _) => continue,
            };
            let (since, start_count) = run;
            // The memory may be of before that start: it was not written, or could not be.
            let known = memory.start_count == start_count;
            let passed = !has_probe || (memory.passed && known);
            let asked = memory.asked_to_end.filter(|_| known);
            unit.start_count = start_count;
            unit.started |= passed;
            unit.ready = memory.ready && passed;
            unit.nudge = memory.nudge;
            unit.startup_from = now;
            // What should end is asked again: whether the daemon before came to it, nobody knows.
            unit.incomplete = memory.incomplete && known;
            unit.unhealthy = unit.incomplete || asked == Some(StopReason::Unhealthy);
            unit.cycle = (memory.cycle && known) || asked == Some(StopReason::Restart);
            unit.phase = Phase::Up { since, passed };
        }
    }

    /// Takes in the ends of units that ended while no daemon was there, as if it had seen them.
    fn take_in_ends(&mut self, found: &Found) {
        let Some(spec) = self.spec.clone() else {
            return;
        };
        let now = self.clock.now_ms();
        for (name, (at, start_count, end)) in &found.exited {
            let memory = found.memory.units.get(name);
            let memory = memory.filter(|memory| memory.start_count == *start_count);
            let asked = memory.and_then(|memory| memory.asked_to_end);
            let Some(unit) = self.life.unit_mut(name).filter(|unit| {
                unit.start_count == *start_count && matches!(unit.phase, Phase::Up { .. })
            }) else {
                continue;
            };
            if memory.is_some_and(|memory| memory.counted.is_some()) {
                unit.forget_run();
                unit.trouble.clone_from(&end.why);
                unit.phase = Phase::Exited {
                    at: *at,
                    code: end.code,
                    reason: asked.map_or(EndReason::Own, EndReason::Asked),
                };
            } else {
                if let Some(reason) = asked {
                    unit.phase = Phase::Stopping {
                        since: *at,
                        killed: None,
                        reason,
                    };
                }
                let exited = Event::Exited {
                    unit: name.clone(),
                    start_count: *start_count,
                    code: end.code,
                    why: end.why.clone(),
                    is_elsewhere: false,
                };
                self.life.apply(&spec, exited, *at);
            }
            if end.is_elsewhere {
                // It has this time from now on, however long ago the end was.
                self.life.wait_for_status(&spec, name, *start_count, now);
            }
        }
    }
}

/// False for an end of before its pod was last wanted to run, or of a unit of another pod; and for one after
/// which the unit was to be started again, whether or not anything has remained of that.
fn says_something(memory: &UnitMemory, start_count: u32) -> bool {
    let is_failed = memory.counted == Some(CountedEnd::Failed);
    let is_last = start_count >= memory.start_count + u32::from(is_failed);
    is_last && start_count > memory.counted_from
}

/// What should take something away and has found a unit running has taken nothing: the unit has to end first.
pub(super) fn removed_nothing(
    operation: Option<&Operation>,
    survivors: &BTreeMap<UnitName, Survivor>,
) -> Result<(), Trouble> {
    match (operation, survivors.keys().next()) {
        (Some(Operation::Remove | Operation::Collect), Some(unit)) => Err(Trouble {
            message: format!("nothing was removed: {unit} still runs and is ended first"),
            held: false,
        }),
        _ => Ok(()),
    }
}
