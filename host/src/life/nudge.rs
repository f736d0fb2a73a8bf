//! Which units should take notice of what has happened.

use std::collections::BTreeSet;

use names::{UnitName, VolumeName};
use podspec::{CompiledPod, Unit};

use super::event::release_hold;
use super::{Life, Nudge, Phase, UnitLife};
use crate::plan::hears_when_ended;

impl Life {
    pub(super) fn configs_changed(&mut self, spec: &CompiledPod, changed: &BTreeSet<VolumeName>) {
        for unit in &spec.units {
            if unit
                .mounts
                .iter()
                .any(|mount| changed.contains(&mount.volume))
            {
                self.nudge(unit, Nudge::Config);
            }
        }
    }

    /// A program that was replaced is like a config that changed: a unit that has a signal for that goes on.
    pub(super) fn programs_changed(&mut self, spec: &CompiledPod, units: &BTreeSet<UnitName>) {
        for unit in spec.units.iter().filter(|unit| units.contains(&unit.name)) {
            self.nudge(unit, Nudge::Config);
        }
    }

    pub(super) fn nudge_those_waiting_for(&mut self, spec: &CompiledPod, name: &UnitName) {
        let startup = spec.unit(name).and_then(|unit| unit.startup_probe.as_ref());
        for target in startup
            .map(|probe| probe.signal.as_slice())
            .unwrap_or_default()
        {
            if let Some(unit) = spec.unit(target) {
                self.nudge(unit, Nudge::Signal);
            }
        }
    }

    /// A person signals units by name.
    pub(super) fn signalled(&mut self, spec: &CompiledPod, units: &[UnitName]) {
        for unit in spec.units.iter().filter(|unit| units.contains(&unit.name)) {
            self.nudge(unit, Nudge::Signal);
        }
    }

    /// A person wants units started once more.
    pub(super) fn cycle(&mut self, units: &[UnitName]) {
        let named = |unit: &&mut UnitLife| units.contains(&unit.name);
        for unit in self.units.iter_mut().filter(named) {
            release_hold(unit);
            unit.not_before = 0;
            unit.cycle = true;
        }
    }

    /// A unit that does not exist sees everything when it starts, and one that has ended hears only what
    /// it would be started for; a signal to a unit that names none is dropped, as in the original.
    fn nudge(&mut self, unit: &Unit, nudge: Nudge) {
        let Some(life) = self.unit_mut(&unit.name) else {
            return;
        };
        let is_heard = match life.phase {
            Phase::Absent => false,
            Phase::Exited { .. } => hears_when_ended(unit),
            Phase::Starting | Phase::Up { .. } | Phase::Stopping { .. } => {
                nudge == Nudge::Config || unit.signal.is_some()
            }
        };
        if is_heard {
            life.nudge = life.nudge.max(Some(nudge));
        }
    }
}
