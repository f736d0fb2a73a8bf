//! Decides what happens next to a release: from its compiled pod, what is known of it and the time to
//! at most one operation, the probes that are due, and the moment to ask again.
//!
//! Pure and level-triggered: it may be asked as often as one likes, and asking twice gives the same
//! answer. It knows no file, no process and no plugin.

mod down;
mod explain;
mod policy;
mod up;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tables;

use names::{PodState, UnitName};
use podspec::CompiledPod;

use crate::life::{Life, Operation, ProbeKind};

pub use explain::{explain, is_ready, is_settled, is_stuck};
pub use policy::{back_off_ms, hears_when_ended};

/// After so long a kill that did not end a unit is repeated.
pub const KILL_AGAIN_MS: u64 = 10_000;
/// Between two probes of a unit that has not started or is not ready.
pub const PROBE_SOON_MS: u64 = 250;
/// Between two readiness probes of a unit that is ready, and between two liveness probes.
pub const PROBE_LATER_MS: u64 = 5_000;

/// What should happen next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The operation to begin now.
    pub operation: Option<Operation>,
    /// The probes to begin now, at most one for each unit.
    pub probes: Vec<(UnitName, ProbeKind)>,
    /// When to ask again if nothing happens until then.
    pub wake_at: Option<u64>,
}

/// Decides what happens next.
#[must_use]
pub fn plan(spec: &CompiledPod, life: &Life, now: u64) -> Plan {
    let mut planner = Planner {
        now,
        busy: life.operation.is_some(),
        plan: Plan::default(),
    };
    if let Some(errand) = life.errand {
        planner.operate(now, Operation::Errand(errand));
    }
    match life.wanted {
        PodState::Running => planner.keep_up(spec, life),
        PodState::Stopped | PodState::Removed => planner.bring_down(spec, life),
    }
    planner.plan
}

struct Planner {
    now: u64,
    busy: bool,
    plan: Plan,
}

impl Planner {
    /// The operation if its time has come and no other is under way or comes first.
    fn operate(&mut self, due: u64, operation: Operation) {
        if self.is_due(due) && !self.busy && self.plan.operation.is_none() {
            self.plan.operation = Some(operation);
        }
    }

    /// True when the time has come; otherwise the plan wakes up then.
    fn is_due(&mut self, due: u64) -> bool {
        if due > self.now {
            self.plan.wake_at = Some(self.plan.wake_at.map_or(due, |earlier| earlier.min(due)));
        }
        due <= self.now
    }
}
