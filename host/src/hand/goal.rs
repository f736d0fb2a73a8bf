//! What has to be so for a request to be done, and when it cannot be any more.

use std::collections::BTreeMap;

use names::{PodState, UnitName};
use podspec::CompiledPod;
use serde::{Deserialize, Serialize};

use super::Hold;
use crate::life::{EndReason, Errand, Life, Operation, Phase, StopReason, UnitLife};
use crate::plan::{explain, hears_when_ended, is_settled, is_stuck};

/// A start that has failed so often is told as failed, although it goes on being tried.
const FAILURES_MAX: u32 = 2;

/// What has to be so for a request to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// Every unit has started.
    Up,
    /// No unit is left.
    Down,
    /// Nothing is left.
    Gone,
    /// First nothing is left, then every unit has started.
    Again,
    /// These units were started once more; how often they were before.
    Cycled(BTreeMap<UnitName, u32>),
    /// These units have taken notice.
    Told(Vec<UnitName>),
    /// The errand was done.
    Errand(Errand),
}

impl Goal {
    /// True when it can still be reached while this holds.
    pub(super) fn survives(&self, hold: &Hold) -> bool {
        match self {
            Self::Up => hold.leads_up(),
            Self::Again => hold.then_runs,
            Self::Down => hold.wanted != PodState::Running,
            Self::Gone => hold.wanted == PodState::Removed,
            Self::Errand(Errand::Create) => hold.wanted == PodState::Stopped,
            // They end by themselves when the pod does not run any more, or need no pod that runs.
            Self::Cycled(_) | Self::Told(_) | Self::Errand(_) => true,
        }
    }
}

/// What is looked at to see how far a request is.
pub(super) struct Sight<'a> {
    pub(super) spec: &'a CompiledPod,
    pub(super) life: &'a Life,
    pub(super) now: u64,
    /// What holds by hand.
    pub(super) hold: Option<Hold>,
}

impl Sight<'_> {
    /// How the request has ended; none while it is under way.
    pub(super) fn reached(&self, goal: &Goal) -> Option<Result<(), String>> {
        let life = self.life;
        match goal {
            Goal::Up => self.up(),
            Goal::Down => (life.wanted != PodState::Running && life.is_down()).then_some(Ok(())),
            Goal::Gone if is_gone(life) => Some(Ok(())),
            Goal::Gone | Goal::Again => life.remove_trouble.is_some().then(|| self.failed()),
            Goal::Cycled(counts) => self.each(counts.keys(), Self::cycled),
            Goal::Told(units) => self.each(units, Self::told),
            Goal::Errand(_) => match (&life.errand, &life.errand_trouble) {
                (Some(_), _) => None,
                (None, None) => Some(Ok(())),
                (None, Some(trouble)) => Some(Err(trouble.message.clone())),
            },
        }
    }

    fn failed(&self) -> Result<(), String> {
        let why = explain(self.spec, self.life, self.now);
        Err(why.unwrap_or_else(|| "it failed".to_owned()))
    }

    fn up(&self) -> Option<Result<(), String>> {
        let life = self.life;
        if is_settled(self.spec, life) && life.operation.is_none() {
            // What has failed and stays so has not come up, although nothing more will be done about it.
            let is_well = !life.units.iter().any(has_failed);
            return Some(if is_well { Ok(()) } else { self.failed() });
        }
        if life.wanted != PodState::Running {
            // The pod before it may have to come down first, or be removed.
            let is_over = !self.hold.is_some_and(|hold| hold.leads_up());
            return is_over.then(no_longer_wanted);
        }
        self.cannot_start().then(|| self.failed())
    }

    /// True when a unit that has not started fails again and again, or is not tried again at all.
    fn cannot_start(&self) -> bool {
        let mut pairs = self.spec.units.iter().zip(&self.life.units);
        pairs.any(|(unit, truth)| {
            let has_started = matches!(truth.phase, Phase::Up { passed: true, .. });
            let fails = truth.held || truth.failures >= FAILURES_MAX || is_stuck(unit, truth);
            !has_started && fails
        })
    }

    /// The first that has failed, or is still under way, counts for all.
    fn each<'n>(
        &self,
        names: impl IntoIterator<Item = &'n UnitName>,
        of_one: fn(&Self, &UnitLife) -> Option<Result<(), String>>,
    ) -> Option<Result<(), String>> {
        if self.life.wanted != PodState::Running {
            return Some(no_longer_wanted());
        }
        let mut is_done = true;
        for name in names {
            let Some(unit) = self.life.unit(name) else {
                return Some(Err(format!("{name} is no unit of the pod any more")));
            };
            match of_one(self, unit) {
                Some(Ok(())) => {}
                Some(Err(why)) => return Some(Err(format!("{name}: {why}"))),
                None => is_done = false,
            }
        }
        is_done.then_some(Ok(()))
    }

    fn cycled(&self, unit: &UnitLife) -> Option<Result<(), String>> {
        if unit.cycle {
            // It may wait for the units before it, which never start.
            return (unit.is_gone() && self.cannot_start()).then(|| self.failed());
        }
        match unit.phase {
            Phase::Up { passed: true, .. } => Some(Ok(())),
            Phase::Exited { code, reason, .. } => match reason {
                EndReason::Own => Some(of_its_own(unit, code)),
                EndReason::Asked(StopReason::Unhealthy) => Some(self.failed()),
                // It was stopped, and is started again.
                EndReason::Asked(StopReason::Pod | StopReason::Restart) => None,
            },
            Phase::Absent => unit.trouble.clone().map(Err),
            Phase::Starting | Phase::Up { .. } | Phase::Stopping { .. } => None,
        }
    }

    fn told(&self, unit: &UnitLife) -> Option<Result<(), String>> {
        if let Some(failed) = &unit.failed_nudge {
            return Some(Err(failed.message.clone()));
        }
        let is_about_it = |operation: &Operation| operation.unit() == Some(&unit.name);
        if self.life.operation.as_ref().is_some_and(is_about_it) {
            return None;
        }
        match unit.phase {
            Phase::Starting | Phase::Stopping { .. } => None,
            Phase::Up { .. } => unit.nudge.is_none().then_some(Ok(())),
            Phase::Exited { .. } => {
                let spec = self.spec.unit(&unit.name);
                let is_awaited = unit.nudge.is_some() && spec.is_some_and(hears_when_ended);
                (!is_awaited).then_some(Ok(()))
            }
            // What was to be told is read at its next start, if that succeeds.
            Phase::Absent => Some(unit.trouble.clone().map_or(Ok(()), Err)),
        }
    }
}

/// True when the unit has ended by itself, and badly.
fn has_failed(unit: &UnitLife) -> bool {
    matches!(
        unit.phase,
        Phase::Exited { code, reason: EndReason::Own, .. } if code != Some(0)
    )
}

/// A unit that has ended by itself was started once more, and has failed if its end says so.
fn of_its_own(unit: &UnitLife, code: Option<i32>) -> Result<(), String> {
    let how = match code {
        Some(0) => return Ok(()),
        Some(code) => format!("it exited with {code}"),
        None => "it ended unseen".to_owned(),
    };
    let why = unit.trouble.iter().map(|why| format!(" ({why})"));
    Err(how + &why.collect::<String>())
}

fn no_longer_wanted() -> Result<(), String> {
    Err("the pod should not run any more".to_owned())
}

pub(super) fn is_gone(life: &Life) -> bool {
    life.wanted == PodState::Removed && life.is_down() && life.removed
}
