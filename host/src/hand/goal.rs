//! What has to be so for a request to be done.

use std::collections::BTreeMap;

use names::{PodState, UnitName};
use podspec::CompiledPod;
use serde::{Deserialize, Serialize};

use super::Hand;
use crate::life::{Life, Operation, Phase};
use crate::plan::{explain, is_settled};

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
    /// These units were started more often than so.
    Cycled(BTreeMap<UnitName, u32>),
    /// These units have taken notice.
    Told(Vec<UnitName>),
    /// The errand was done.
    Errand,
}

impl Hand {
    /// Ends the request whose goal is reached or cannot be. True when something else is wanted now.
    pub fn settle(&mut self, spec: &CompiledPod, life: &Life, now: u64) -> bool {
        let Some(request) = self
            .request
            .as_ref()
            .filter(|request| request.outcome.is_none())
        else {
            return false;
        };
        if request.goal == Goal::Again && is_gone(life) {
            self.start_again();
            return true;
        }
        if let Some(outcome) = reached(&request.goal, spec, life, now) {
            self.finish(outcome);
        }
        false
    }

    /// What was removed to be run again runs again.
    fn start_again(&mut self) {
        if let Some(hold) = &mut self.hold {
            hold.wanted = PodState::Running;
            hold.is_hasty = false;
        }
        if let Some(request) = &mut self.request {
            request.goal = Goal::Up;
        }
    }
}

/// How the request has ended; none while it is under way.
fn reached(goal: &Goal, spec: &CompiledPod, life: &Life, now: u64) -> Option<Result<(), String>> {
    let failed = || Err(explain(spec, life, now).unwrap_or_else(|| "it failed".to_owned()));
    match goal {
        Goal::Up if is_settled(spec, life) && life.operation.is_none() => Some(Ok(())),
        Goal::Up => {
            let fails = life.units.iter().any(|unit| {
                let has_started = matches!(unit.phase, Phase::Up { passed: true, .. });
                !has_started && (unit.held || unit.failures >= FAILURES_MAX)
            });
            (fails && life.wanted == PodState::Running).then(failed)
        }
        Goal::Down => (life.wanted != PodState::Running && life.is_down()).then_some(Ok(())),
        Goal::Gone if is_gone(life) => Some(Ok(())),
        Goal::Gone | Goal::Again => life.remove_trouble.is_some().then(failed),
        Goal::Cycled(counts) => cycled(counts, life),
        Goal::Told(units) => told(units, life),
        Goal::Errand => match (&life.errand, &life.errand_trouble) {
            (Some(_), _) => None,
            (None, None) => Some(Ok(())),
            (None, Some(trouble)) => Some(Err(trouble.message.clone())),
        },
    }
}

fn is_gone(life: &Life) -> bool {
    life.wanted == PodState::Removed && life.is_down() && life.removed
}

fn cycled(counts: &BTreeMap<UnitName, u32>, life: &Life) -> Option<Result<(), String>> {
    for (name, count) in counts {
        let unit = life.unit(name)?;
        let is_over = unit.start_count > *count && !unit.cycle;
        match unit.phase {
            Phase::Up { passed: true, .. } | Phase::Exited { .. } if is_over => {}
            Phase::Absent if unit.trouble.is_some() && !unit.cycle => {
                return unit.trouble.clone().map(Err);
            }
            Phase::Absent
            | Phase::Starting
            | Phase::Up { .. }
            | Phase::Stopping { .. }
            | Phase::Exited { .. } => return None,
        }
    }
    Some(Ok(()))
}

fn told(units: &[UnitName], life: &Life) -> Option<Result<(), String>> {
    for name in units {
        let unit = life.unit(name)?;
        if let Some(failed) = &unit.failed_nudge {
            return Some(Err(format!("{name}: {}", failed.message)));
        }
        let is_told = |operation: &Operation| operation.unit() == Some(name);
        let waits = unit.nudge.is_some() || life.operation.as_ref().is_some_and(is_told);
        if waits || matches!(unit.phase, Phase::Stopping { .. } | Phase::Starting) {
            return None;
        }
    }
    Some(Ok(()))
}
