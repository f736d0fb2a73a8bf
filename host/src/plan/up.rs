//! A release that should run: its units start in order, are probed, told of changes and restarted.

use podspec::{CompiledPod, StartupCheck, Unit};

use super::policy::{End, back_off_ms, next_start};
use super::{PROBE_LATER_MS, PROBE_SOON_MS, Planner};
use crate::life::{Life, Nudge, Operation, Phase, ProbeKind, StopReason, UnitLife};

impl Planner {
    /// The first start of each unit waits until those before it have started once; after that each
    /// unit is on its own, so one that fails again and again holds up no other.
    pub(super) fn keep_up(&mut self, spec: &CompiledPod, life: &Life) {
        let mut those_before_started = true;
        for (unit, truth) in spec.units.iter().zip(&life.units) {
            let its_turn = those_before_started || truth.started;
            match truth.phase {
                Phase::Absent if its_turn => self.start(unit, truth, self.now),
                Phase::Exited { .. } if its_turn && truth.cycle => {
                    self.start(unit, truth, self.now);
                }
                Phase::Exited { at, code, reason } if its_turn => {
                    let end = End {
                        at,
                        code,
                        reason,
                        failures: truth.failures,
                        nudge: truth.nudge,
                    };
                    if let Some(due) = next_start(unit, end) {
                        self.start(unit, truth, due);
                    }
                }
                Phase::Absent | Phase::Exited { .. } | Phase::Starting => {}
                Phase::Up { .. } if truth.cycle => self.operate(
                    self.now,
                    Operation::Stop(unit.name.clone(), StopReason::Restart),
                ),
                Phase::Up { passed: false, .. } => self.wait_for_startup(unit, truth),
                Phase::Up { passed: true, .. } => self.look_after(unit, truth),
                Phase::Stopping { .. } => self.kill_when_due(unit, truth),
            }
            those_before_started &= truth.started;
        }
        // What a unit needs comes first.
        if let Some(due) = life.tick.due() {
            self.operate(due, Operation::Tick);
        }
    }

    fn start(&mut self, unit: &Unit, truth: &UnitLife, due: u64) {
        if !truth.held {
            self.operate(
                due.max(truth.not_before),
                Operation::Start(unit.name.clone()),
            );
        }
    }

    fn wait_for_startup(&mut self, unit: &Unit, truth: &UnitLife) {
        let Some(startup) = &unit.startup_probe else {
            return;
        };
        let limit = u64::from(startup.timeout_seconds) * 1_000;
        if truth.unhealthy || self.is_due(truth.startup_from.saturating_add(limit)) {
            self.operate(
                self.now,
                Operation::Stop(unit.name.clone(), StopReason::Unhealthy),
            );
        } else if startup.check != StartupCheck::Exit {
            self.probe(unit, truth, ProbeKind::Startup, PROBE_SOON_MS);
        }
    }

    fn look_after(&mut self, unit: &Unit, truth: &UnitLife) {
        if truth.unhealthy {
            return self.operate(
                self.now,
                Operation::Stop(unit.name.clone(), StopReason::Unhealthy),
            );
        }
        match (truth.nudge, &unit.signal) {
            (Some(nudge), Some(_)) => {
                let due = truth.failed_nudge.as_ref();
                let due = due.map_or(self.now, |failed| failed.not_before);
                self.operate(due, Operation::Signal(unit.name.clone(), nudge));
            }
            (Some(Nudge::Config), None) => {
                return self.operate(
                    self.now,
                    Operation::Stop(unit.name.clone(), StopReason::Restart),
                );
            }
            (Some(Nudge::Signal) | None, _) => {}
        }
        if unit.readiness_probe.is_some() {
            let period = if truth.ready {
                PROBE_LATER_MS
            } else {
                PROBE_SOON_MS
            };
            self.probe(unit, truth, ProbeKind::Readiness, period);
        }
        if unit.liveness_probe.is_some() {
            self.probe(unit, truth, ProbeKind::Liveness, PROBE_LATER_MS);
        }
    }

    fn probe(&mut self, unit: &Unit, truth: &UnitLife, kind: ProbeKind, period_ms: u64) {
        // Whoever cannot run a probe may be a plugin that fails at length.
        let period_ms = period_ms.max(back_off_ms(truth.not_asked));
        let due = truth
            .probed(kind)
            .map_or(self.now, |last| last.saturating_add(period_ms));
        let is_free =
            truth.probe.is_none() && !self.plan.probes.iter().any(|(name, _)| *name == unit.name);
        if is_free && self.is_due(due) {
            self.plan.probes.push((unit.name.clone(), kind));
        }
    }
}
