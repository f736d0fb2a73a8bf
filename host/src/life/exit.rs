//! What the end of a unit's process means, and what it means when its exit status becomes known later.

use names::UnitName;
use podspec::{CompiledPod, Restart, StartupCheck, Unit};

use super::{EndReason, HEALTHY_AFTER_MS, Life, Phase, StopReason, UnitLife};

/// A unit whose exit status somebody else knows, and whose restart depends on it, is not started again before
/// that was asked, or before so much time has passed.
const STATUS_WAIT_MS: u64 = 5_000;

impl Life {
    pub(super) fn exited(
        &mut self,
        spec: &CompiledPod,
        name: &UnitName,
        start_count: u32,
        code: Option<i32>,
        now: u64,
    ) {
        let of_start = |unit: &&mut UnitLife| unit.start_count == start_count;
        let (Some(declared), Some(unit)) = (spec.unit(name), self.unit_mut(name).filter(of_start))
        else {
            return;
        };
        unit.forget_failures_if_healthy(now);
        let reason = match unit.phase {
            Phase::Up { .. } => EndReason::Own,
            Phase::Stopping { reason, .. } => EndReason::Asked(reason),
            Phase::Absent | Phase::Starting | Phase::Exited { .. } => return,
        };
        if unit.incomplete && reason == EndReason::Asked(StopReason::Unhealthy) {
            unit.forget_run();
            return unit.start_failed(now);
        }
        unit.forget_run();
        unit.phase = Phase::Exited {
            at: now,
            code,
            reason,
        };
        let ended_well = reason == EndReason::Own && code == Some(0);
        match reason {
            EndReason::Asked(StopReason::Pod | StopReason::Restart) => unit.failures = 0,
            EndReason::Own if ended_well && may_end(declared) => unit.failures = 0,
            EndReason::Own | EndReason::Asked(StopReason::Unhealthy) => {
                unit.failures = unit.failures.saturating_add(1);
            }
        }
        if ended_well && starts_by_ending(declared) && !unit.started {
            unit.started = true;
            self.nudge_those_waiting_for(spec, name);
        }
    }

    /// Somebody else knows how the unit ended, and is asked: that is waited for where it matters.
    pub(crate) fn wait_for_status(
        &mut self,
        spec: &CompiledPod,
        name: &UnitName,
        start_count: u32,
        now: u64,
    ) {
        let restart = spec.unit(name).map(|unit| &unit.restart);
        let matters = !matches!(restart, Some(Restart::Always | Restart::Never) | None);
        let is_meant = |unit: &&mut UnitLife| {
            let ended_unseen = matches!(
                unit.phase,
                Phase::Exited {
                    code: None,
                    reason: EndReason::Own,
                    ..
                }
            );
            unit.start_count == start_count && ended_unseen
        };
        if let (true, Some(unit)) = (matters, self.unit_mut(name).filter(is_meant)) {
            unit.not_before = now.saturating_add(STATUS_WAIT_MS);
        }
    }

    /// The status of a unit that ended unseen has become known.
    pub(super) fn exit_learned(
        &mut self,
        spec: &CompiledPod,
        name: &UnitName,
        start_count: u32,
        code: i32,
    ) {
        let of_start = |unit: &&mut UnitLife| unit.start_count == start_count;
        let (Some(declared), Some(unit)) = (spec.unit(name), self.unit_mut(name).filter(of_start))
        else {
            return;
        };
        let Phase::Exited {
            at,
            code: None,
            reason,
        } = unit.phase
        else {
            return;
        };
        unit.phase = Phase::Exited {
            at,
            code: Some(code),
            reason,
        };
        unit.not_before = 0;
        let ended_well = reason == EndReason::Own && code == 0;
        if ended_well && may_end(declared) {
            unit.failures = 0;
        }
        if ended_well && starts_by_ending(declared) && !unit.started {
            unit.started = true;
            self.nudge_those_waiting_for(spec, name);
        }
    }
}

impl UnitLife {
    /// A run that was long enough makes good for the failures before it, however it ends.
    pub(super) fn forget_failures_if_healthy(&mut self, now: u64) {
        if let Phase::Up {
            since,
            passed: true,
        } = self.phase
            && now.saturating_sub(since) >= HEALTHY_AFTER_MS
        {
            self.failures = 0;
        }
    }
}

/// True for a unit that has started when it has ended well.
fn starts_by_ending(unit: &Unit) -> bool {
    let startup = unit.startup_probe.as_ref();
    startup.is_some_and(|probe| probe.check == StartupCheck::Exit)
}

/// True for a unit whose end is no failure when its exit status is 0. One that is always started again
/// would otherwise be started again and again without a pause.
fn may_end(unit: &Unit) -> bool {
    unit.restart != Restart::Always
}
