//! A release that should not run: its units end in reverse order, then what it made is removed.

use names::PodState;
use podspec::{CompiledPod, Unit};

use super::{KILL_AGAIN_MS, Planner};
use crate::life::{Life, Operation, Phase, StopReason, UnitLife};

impl Planner {
    pub(super) fn bring_down(&mut self, spec: &CompiledPod, life: &Life) {
        let last = spec
            .units
            .iter()
            .zip(&life.units)
            .rev()
            .find(|(_, truth)| !truth.is_gone());
        if let Some((unit, truth)) = last {
            match truth.phase {
                Phase::Up { .. } if life.is_hasty => {
                    self.operate(self.now, Operation::Kill(unit.name.clone()));
                }
                // It was asked to end before somebody wanted it killed.
                Phase::Stopping { killed: None, .. } if life.is_hasty => {
                    self.operate(self.now, Operation::Kill(unit.name.clone()));
                }
                Phase::Up { .. } => self.operate(
                    self.now,
                    Operation::Stop(unit.name.clone(), StopReason::Pod),
                ),
                Phase::Stopping { .. } => self.kill_when_due(unit, truth),
                Phase::Starting | Phase::Absent | Phase::Exited { .. } => {}
            }
            return;
        }
        let due = match &life.remove_trouble {
            Some((_, not_before)) => *not_before,
            None => self.now,
        };
        match life.wanted {
            PodState::Removed if !life.removed => self.operate(due, Operation::Remove),
            PodState::Stopped if !life.collected => self.operate(due, Operation::Collect),
            PodState::Running | PodState::Stopped | PodState::Removed => {}
        }
    }

    /// A unit that does not end when asked is killed when its grace is over, and again if that did not help.
    pub(super) fn kill_when_due(&mut self, unit: &Unit, truth: &UnitLife) {
        let Phase::Stopping { since, killed, .. } = truth.phase else {
            return;
        };
        let due = match killed {
            None => since.saturating_add(u64::from(unit.stop_grace_seconds) * 1_000),
            Some(at) => at.saturating_add(KILL_AGAIN_MS),
        };
        self.operate(due, Operation::Kill(unit.name.clone()));
    }
}
