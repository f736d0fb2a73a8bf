//! Takes over what an earlier daemon has left: running units stay as they are.

use std::collections::BTreeMap;

use names::UnitName;

use super::{Driver, Found, Survivor, World};
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
        self.place_units(found);
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
        for unit in &mut self.life.units {
            let memory = found
                .memory
                .units
                .get(&unit.name)
                .cloned()
                .unwrap_or_default();
            let has_probe = found
                .spec
                .as_ref()
                .and_then(|spec| spec.unit(&unit.name))
                .is_some_and(|unit| unit.startup_probe.is_some());
            unit.start_count = memory.start_count;
            unit.counted_from = memory.counted_from;
            if let Some((since, start_count)) = found.running.get(&unit.name) {
                let passed = !has_probe || (memory.passed && memory.start_count == *start_count);
                unit.start_count = *start_count;
                unit.failures = memory.failures;
                unit.started = memory.started || passed;
                unit.ready = memory.ready && passed;
                unit.nudge = memory.nudge;
                unit.phase = Phase::Up {
                    since: *since,
                    passed,
                };
            } else if let Some((at, start_count, end)) = found.exited.get(&unit.name)
                // Else it ended before its pod was last wanted to run, or as a unit of another pod.
                && *start_count > memory.counted_from
            {
                // The memory may be of before that start: it was not written, or could not be.
                unit.start_count = unit.start_count.max(*start_count);
                let reason = if memory.asked_to_end {
                    EndReason::Asked(StopReason::Pod)
                } else {
                    EndReason::Own
                };
                unit.failures = memory.failures.max(1);
                unit.started = memory.started;
                unit.nudge = memory.nudge;
                unit.trouble = end.why.clone();
                unit.phase = Phase::Exited {
                    at: *at,
                    code: end.code,
                    reason,
                };
            }
        }
    }
}

/// A removal that has found a unit running has not removed anything: the unit has to end first.
pub(super) fn removed_nothing(
    operation: Option<&Operation>,
    survivors: &BTreeMap<UnitName, Survivor>,
) -> Result<(), Trouble> {
    match (operation, survivors.keys().next()) {
        (Some(Operation::Remove), Some(unit)) => Err(Trouble {
            message: format!("nothing was removed: {unit} still runs and is ended first"),
            held: false,
        }),
        _ => Ok(()),
    }
}
