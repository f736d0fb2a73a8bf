//! How events change a life. Every event may come late: what does not fit any more is ignored.

use std::collections::BTreeSet;

use names::{PodState, UnitName, VolumeName};
use podspec::CompiledPod;

use super::{EndReason, Errand, Life, Operation, Phase, ProbeKind, StopReason, UnitLife};
use crate::plan::back_off_ms;

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// One line for people.
    pub message: String,
    /// True when trying again brings nothing before pod, plugin or grants change.
    pub held: bool,
}

/// Why a probe did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeError {
    /// The unit did not pass it.
    Failed(String),
    /// It could not be asked, which says nothing about the unit: what it last answered stands.
    NotAsked(String),
}

/// Something that happened to a release.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The wanted state was read, perhaps again.
    Wanted(PodState),
    /// The driver begins an operation.
    Begun(Operation),
    /// The operation that was under way has ended.
    Done(Result<(), Trouble>),
    /// The process of a unit has ended.
    Exited {
        /// The unit.
        unit: UnitName,
        /// The start that the process belongs to.
        start_count: u32,
        /// Its exit status; none when nobody saw it.
        code: Option<i32>,
        /// Why its program could not be executed.
        why: Option<String>,
        /// True when somebody else knows the status, and is asked.
        is_elsewhere: bool,
    },
    /// The driver begins a probe.
    ProbeBegun(UnitName, ProbeKind),
    /// A probe has ended.
    ProbeDone {
        /// The unit.
        unit: UnitName,
        /// What was asked.
        kind: ProbeKind,
        /// The start that the probe belongs to.
        start_count: u32,
        /// What it brought.
        outcome: Result<(), ProbeError>,
    },
    /// A process was found of a unit that was thought to have none.
    Survived {
        /// The unit.
        unit: UnitName,
        /// When it was started.
        since: u64,
        /// Which start it is.
        start_count: u32,
        /// Why its start was not finished: the unit has to be started again.
        incomplete: Option<String>,
    },
    /// These configs have changed.
    Configs(BTreeSet<VolumeName>),
    /// These units run a program of the host home that was replaced.
    Outdated(BTreeSet<UnitName>),
    /// Plugin or grants have changed: what was held may be tried again.
    Unheld,
    /// A person wants these units signalled, in the way that their pod names.
    Signalled(Vec<UnitName>),
    /// A person wants these units started once more.
    Cycle(Vec<UnitName>),
    /// A person wants this done.
    Errand(Errand),
    /// The plugin wants to be asked at this time.
    TickAt(u64),
    /// The exit status of a unit has become known that ended unseen.
    ExitLearned {
        /// The unit.
        unit: UnitName,
        /// The start that it belongs to.
        start_count: u32,
        /// Its exit status.
        code: i32,
    },
}

impl Life {
    /// Changes what is known by what happened at `now`.
    pub fn apply(&mut self, spec: &CompiledPod, event: Event, now: u64) {
        match event {
            Event::Wanted(wanted) => self.want(wanted),
            Event::Begun(operation) => self.begin(operation, now),
            Event::Done(outcome) => self.done(spec, outcome, now),
            Event::Exited {
                unit,
                start_count,
                code,
                why,
                is_elsewhere,
            } => {
                self.exited(spec, &unit, start_count, code, now);
                if is_elsewhere {
                    self.wait_for_status(spec, &unit, start_count, now);
                }
                let ended = |unit: &&mut UnitLife| unit.start_count == start_count;
                if let (Some(unit), Some(_)) = (self.unit_mut(&unit).filter(ended), &why) {
                    unit.trouble = why;
                }
            }
            Event::ProbeBegun(unit, kind) => {
                if let Some(unit) = self.unit_mut(&unit) {
                    unit.probe = Some(kind);
                }
            }
            Event::ProbeDone {
                unit,
                kind,
                start_count,
                outcome,
            } => {
                self.probe_done(spec, &unit, kind, start_count, &outcome, now);
            }
            Event::Survived {
                unit,
                since,
                start_count,
                incomplete,
            } => self.survived(spec, &unit, (since, now), start_count, incomplete),
            Event::Configs(changed) => self.configs_changed(spec, &changed),
            Event::Outdated(units) => self.programs_changed(spec, &units),
            Event::Unheld => {
                self.outdated = self.operation.is_some();
                self.release_holds();
            }
            Event::TickAt(at) => self.tick.want(at),
            Event::ExitLearned {
                unit,
                start_count,
                code,
            } => self.exit_learned(spec, &unit, start_count, code),
            Event::Signalled(units) => self.signalled(spec, &units),
            Event::Cycle(units) => self.cycle(&units),
            Event::Errand(errand) => {
                self.errand = Some(errand);
                self.errand_trouble = None;
            }
        }
    }

    fn release_holds(&mut self) {
        for unit in &mut self.units {
            release_hold(unit);
            unit.not_asked = 0;
        }
        self.tick.release_hold();
    }

    fn want(&mut self, wanted: PodState) {
        if self.wanted == wanted {
            return;
        }
        self.wanted = wanted;
        self.remove_trouble = None;
        self.tick.release_hold();
        // Its last stop may still be under way although the unit has ended.
        let was_down = self.units.iter().all(UnitLife::is_gone);
        for unit in &mut self.units {
            release_hold(unit);
            let was_stopped = matches!(
                unit.phase,
                Phase::Exited {
                    reason: EndReason::Asked(StopReason::Pod),
                    ..
                }
            );
            if wanted == PodState::Running && unit.is_gone() && (was_down || was_stopped) {
                unit.reset();
            }
        }
    }

    fn begin(&mut self, operation: Operation, now: u64) {
        self.removed &= matches!(
            operation,
            Operation::Errand(Errand::Purge | Errand::Download { .. } | Errand::CreateVolumes)
        );
        self.collected &= !matches!(operation, Operation::Start(_));
        if let Some(unit) = operation
            .unit()
            .cloned()
            .and_then(|name| self.unit_mut(&name))
        {
            match &operation {
                Operation::Start(_) => {
                    unit.forget_run();
                    unit.start_count = unit.start_count.saturating_add(1);
                    unit.nudge = None;
                    unit.cycle = false;
                    unit.phase = Phase::Starting;
                }
                Operation::Stop(_, reason) => {
                    unit.forget_failures_if_healthy(now);
                    unit.phase = Phase::Stopping {
                        since: now,
                        killed: None,
                        reason: *reason,
                    };
                    unit.ready = false;
                }
                Operation::Kill(_) => unit.killed(now),
                // It comes back when the signal fails.
                Operation::Signal(..) => unit.nudge = None,
                Operation::Collect | Operation::Remove | Operation::Errand(_) | Operation::Tick => {
                }
            }
        }
        if operation == Operation::Tick {
            self.tick.begin();
        }
        self.operation = Some(operation);
    }

    fn done(&mut self, spec: &CompiledPod, outcome: Result<(), Trouble>, now: u64) {
        let Some(operation) = self.operation.take() else {
            return;
        };
        match (&operation, outcome) {
            (Operation::Start(name), outcome) => self.start_done(spec, name, outcome, now),
            (Operation::Remove, Ok(())) => {
                self.removed = true;
                self.collected = true;
                self.remove_trouble = None;
                self.units.iter_mut().for_each(UnitLife::reset);
            }
            (Operation::Collect, Ok(())) => (self.collected, self.remove_trouble) = (true, None),
            (Operation::Collect | Operation::Remove, Err(trouble)) => {
                let failures = self.remove_trouble.as_ref().map_or(2, |_| 5);
                self.remove_trouble = Some((trouble, now + back_off_ms(failures)));
            }
            (Operation::Errand(done), outcome) => {
                // Another may have been asked for meanwhile.
                if self.errand.as_ref() == Some(done) {
                    self.errand = None;
                    self.errand_trouble = outcome.err();
                }
            }
            (Operation::Tick, outcome) => self.tick.done(outcome, now),
            (Operation::Signal(name, nudge), outcome) => {
                if let Some(unit) = self.unit_mut(name) {
                    unit.nudged(*nudge, outcome, now);
                }
            }
            (Operation::Stop(name, _) | Operation::Kill(name), outcome) => {
                if let Some(unit) = self.unit_mut(name) {
                    unit.trouble = outcome
                        .err()
                        .map(|trouble| trouble.message)
                        .or(unit.trouble.take());
                }
            }
        }
        if std::mem::take(&mut self.outdated) {
            self.release_holds();
        }
    }

    fn start_done(
        &mut self,
        spec: &CompiledPod,
        name: &UnitName,
        outcome: Result<(), Trouble>,
        now: u64,
    ) {
        let needs_probe = spec
            .unit(name)
            .is_some_and(|unit| unit.startup_probe.is_some());
        let Some(unit) = self.unit_mut(name) else {
            return;
        };
        match outcome {
            Ok(()) => {
                unit.phase = Phase::Up {
                    since: now,
                    passed: !needs_probe,
                };
                unit.startup_from = now;
                unit.started |= !needs_probe;
                unit.trouble = None;
            }
            Err(trouble) => {
                unit.start_failed(now);
                unit.held = trouble.held;
                unit.trouble = Some(trouble.message);
            }
        }
    }

    fn survived(
        &mut self,
        spec: &CompiledPod,
        name: &UnitName,
        (since, now): (u64, u64),
        start_count: u32,
        incomplete: Option<String>,
    ) {
        let needs_probe = spec
            .unit(name)
            .is_some_and(|unit| unit.startup_probe.is_some());
        self.removed = false;
        self.collected = false;
        // What was in the way of a removal is known now, and ended first.
        self.remove_trouble = None;
        let Some(unit) = self.unit_mut(name) else {
            return;
        };
        let passed = incomplete.is_some() || !needs_probe;
        // As its shim knows it: by another number its end would not be known again.
        unit.start_count = start_count;
        unit.phase = Phase::Up { since, passed };
        unit.startup_from = now;
        unit.started |= passed && incomplete.is_none();
        unit.unhealthy = incomplete.is_some();
        unit.incomplete = incomplete.is_some();
        unit.trouble = incomplete;
    }

    fn probe_done(
        &mut self,
        spec: &CompiledPod,
        name: &UnitName,
        kind: ProbeKind,
        start_count: u32,
        outcome: &Result<(), ProbeError>,
        now: u64,
    ) {
        let Some(unit) = self
            .unit_mut(name)
            .filter(|unit| unit.start_count == start_count)
        else {
            return;
        };
        if unit.probe == Some(kind) {
            unit.probe = None;
        }
        let Phase::Up { passed, .. } = &mut unit.phase else {
            return;
        };
        match (kind, outcome) {
            (ProbeKind::Startup, Ok(())) => *passed = true,
            (ProbeKind::Startup, Err(_)) => {}
            (ProbeKind::Readiness | ProbeKind::Liveness, Err(ProbeError::NotAsked(_))) => {}
            (ProbeKind::Readiness, outcome) => unit.ready = outcome.is_ok(),
            (ProbeKind::Liveness, outcome) => unit.unhealthy = outcome.is_err(),
        }
        unit.not_asked = match outcome {
            Err(ProbeError::NotAsked(_)) => unit.not_asked.saturating_add(1),
            Ok(()) | Err(ProbeError::Failed(_)) => 0,
        };
        let [startup, readiness, liveness] = &mut unit.probed;
        *match kind {
            ProbeKind::Startup => startup,
            ProbeKind::Readiness => readiness,
            ProbeKind::Liveness => liveness,
        } = Some(now);
        unit.trouble = outcome.as_ref().err().map(|error| match error {
            ProbeError::Failed(why) => format!("{} probe: {why}", kind.as_str()),
            ProbeError::NotAsked(why) => format!("{} probe was not run: {why}", kind.as_str()),
        });
        if kind == ProbeKind::Startup && outcome.is_ok() {
            unit.started = true;
            self.nudge_those_waiting_for(spec, name);
        }
    }
}

pub(super) fn release_hold(unit: &mut UnitLife) {
    if unit.held {
        unit.held = false;
        unit.not_before = 0;
    }
}
