//! What the end of a unit's process means, and what it means when its exit status becomes known later.

use names::UnitName;
use podspec::{CompiledPod, Restart, StartupCheck};

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
        let ends_by_itself = ends_by_itself(spec, name);
        let Some(unit) = self
            .unit_mut(name)
            .filter(|unit| unit.start_count == start_count)
        else {
            return;
        };
        let (reason, up_ms, passed) = match unit.phase {
            Phase::Up { since, passed } => (EndReason::Own, now.saturating_sub(since), passed),
            Phase::Stopping { reason, .. } => (EndReason::Asked(reason), 0, true),
            Phase::Absent | Phase::Starting | Phase::Exited { .. } => return,
        };
        if unit.incomplete && reason == EndReason::Asked(StopReason::Unhealthy) {
            unit.forget_run();
            return unit.start_failed(now);
        }
        let finished = reason == EndReason::Own && ends_by_itself && code == Some(0);
        unit.forget_run();
        unit.phase = Phase::Exited {
            at: now,
            code,
            reason,
        };
        if finished || (passed && up_ms >= HEALTHY_AFTER_MS) {
            unit.failures = 0;
        }
        match reason {
            EndReason::Own | EndReason::Asked(StopReason::Unhealthy) => {
                unit.failures = unit.failures.saturating_add(u32::from(!finished));
            }
            EndReason::Asked(StopReason::Pod | StopReason::Restart) => unit.failures = 0,
        }
        if finished && !unit.started {
            unit.started = true;
            self.nudge_those_waiting_for(spec, name);
        }
    }

    /// Somebody else knows how the unit ended, and is asked: that is waited for where it matters.
    pub(super) fn wait_for_status(
        &mut self,
        spec: &CompiledPod,
        name: &UnitName,
        start_count: u32,
        now: u64,
    ) {
        let restart = spec.unit(name).map(|unit| &unit.restart);
        let matters = !matches!(restart, Some(Restart::Always | Restart::Never) | None);
        let of_start = |unit: &&mut UnitLife| unit.start_count == start_count;
        let Some(unit) = self.unit_mut(name).filter(of_start) else {
            return;
        };
        if matters
            && matches!(
                unit.phase,
                Phase::Exited {
                    code: None,
                    reason: EndReason::Own,
                    ..
                }
            )
        {
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
        let ends_by_itself = ends_by_itself(spec, name);
        let of_start = |unit: &&mut UnitLife| unit.start_count == start_count;
        let Some(unit) = self.unit_mut(name).filter(of_start) else {
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
        if reason == EndReason::Own && ends_by_itself && code == 0 {
            unit.failures = 0;
            if !unit.started {
                unit.started = true;
                self.nudge_those_waiting_for(spec, name);
            }
        }
    }
}

/// True for a unit that has started when it has ended well.
fn ends_by_itself(spec: &CompiledPod, name: &UnitName) -> bool {
    let startup = spec.unit(name).and_then(|unit| unit.startup_probe.as_ref());
    startup.is_some_and(|probe| probe.check == StartupCheck::Exit)
}
