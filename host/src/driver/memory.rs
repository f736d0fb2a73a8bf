//! What one driver leaves to the next, in `run/driver.json`: what cannot be seen from outside.
//!
//! It is a convenience, not the truth: without it the daemon probes again and counts from zero.

use std::collections::BTreeMap;

use names::{PodState, UnitName, VolumeName};
use serde::{Deserialize, Serialize};

use super::{Driver, World};
use crate::life::{EndReason, Nudge, Operation, Phase, StopReason, UnitLife};

/// What a driver remembers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// The boot of the machine that all of this belongs to.
    pub boot: String,
    /// What was wanted.
    pub wanted: Option<PodState>,
    /// When the release was first driven, in milliseconds since the Unix epoch.
    pub created_ms: Option<u64>,
    /// When it was last settled after it was not.
    pub started_ms: Option<u64>,
    /// The configs as the units know them.
    pub configs: BTreeMap<VolumeName, String>,
    /// What the plugin wants to be kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugin_state: Vec<u8>,
    /// When the plugin wants to be asked for `tick`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_at_ms: Option<u64>,
    /// The units, also those of earlier pods of this release: their starts go on being numbered.
    pub units: BTreeMap<UnitName, UnitMemory>,
}

/// What is remembered of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnitMemory {
    /// How often it was started.
    pub start_count: u32,
    /// How many of the starts were before its pod was last wanted to run.
    pub counted_from: u32,
    /// How often it ended early, one after the other.
    pub failures: u32,
    /// True when it has passed its startup since the release was last down.
    pub started: bool,
    /// True when the process that runs has passed its startup.
    pub passed: bool,
    /// True when its readiness probe last succeeded.
    pub ready: bool,
    /// How that start has ended, when that is in `failures` and `started` already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<CountedEnd>,
    /// True when that start was not finished: its process is ended, and the start repeated.
    pub incomplete: bool,
    /// Why the daemon asked that process to end; none when it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_to_end: Option<StopReason>,
    /// True when it should be started once more, whatever its restart policy says.
    pub cycle: bool,
    /// What it should take notice of and has not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nudge: Option<Nudge>,
}

/// How a start of a unit has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CountedEnd {
    /// Its process has run and ended.
    Exited,
    /// It has failed: what its process did, if there was one, says nothing about the unit.
    Failed,
}

impl<W: World> Driver<W> {
    pub(super) fn remember(&self) -> Memory {
        let units = self.life.units.iter().map(|unit| {
            let memory = UnitMemory {
                start_count: unit.start_count,
                counted_from: unit.counted_from,
                failures: unit.failures,
                started: unit.started,
                passed: matches!(unit.phase, Phase::Up { passed: true, .. }),
                ready: unit.ready,
                nudge: self.nudge_of(unit),
                counted: counted_end(unit),
                incomplete: unit.incomplete,
                asked_to_end: asked_to_end(unit),
                cycle: unit.cycle,
            };
            (unit.name.clone(), memory)
        });
        let mut all = self.memory.units.clone();
        all.extend(units);
        Memory {
            wanted: Some(self.life.wanted),
            configs: self.configs.clone(),
            units: all,
            tick_at_ms: self.life.tick.wanted(),
            ..self.memory.clone()
        }
    }

    /// A signal that is under way may never arrive.
    fn nudge_of(&self, unit: &UnitLife) -> Option<Nudge> {
        match &self.life.operation {
            Some(Operation::Signal(name, nudge)) if *name == unit.name => {
                unit.nudge.max(Some(*nudge))
            }
            _ => unit.nudge,
        }
    }
}

fn asked_to_end(unit: &UnitLife) -> Option<StopReason> {
    match unit.phase {
        Phase::Stopping { reason, .. }
        | Phase::Exited {
            reason: EndReason::Asked(reason),
            ..
        } => Some(reason),
        Phase::Exited {
            reason: EndReason::Own,
            ..
        }
        | Phase::Absent
        | Phase::Starting
        | Phase::Up { .. } => None,
    }
}

fn counted_end(unit: &UnitLife) -> Option<CountedEnd> {
    match unit.phase {
        Phase::Exited { .. } => Some(CountedEnd::Exited),
        Phase::Absent => Some(CountedEnd::Failed),
        Phase::Starting | Phase::Up { .. } | Phase::Stopping { .. } => None,
    }
}
