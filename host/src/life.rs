//! The life of one release as the daemon sees it: the phase of every unit, and how an event changes it.
//!
//! ```text
//!            begin(Start)         started             begin(Stop)
//!   Absent ─────────────▶ Starting ──────▶ Up ──────────────────▶ Stopping
//!      ▲                     │             │ exited                   │ exited
//!      │    start failed     │             ▼                          ▼
//!      └─────────────────────┘           Exited ◀─────────────────────┘
//!                             begin(Start) from Exited leads to Starting again
//! ```
//!
//! Pure: what to do next is decided in `plan`, what is done is done by the driver. At most one
//! operation of a release is under way at any time. Times are milliseconds and always an argument.

mod event;
mod exit;
mod nudge;
mod tick;
mod unit;

use names::{PodState, UnitName};
use podspec::CompiledPod;
use serde::{Deserialize, Serialize};

pub use event::{Event, ProbeError, Trouble};
pub use tick::Tick;
pub use unit::{EndReason, FailedNudge, Nudge, Phase, ProbeKind, StopReason, UnitLife};

/// A unit that has been up for so long is healthy: its earlier failures are forgotten.
pub const HEALTHY_AFTER_MS: u64 = 60_000;

/// One change that the driver makes, one at a time for the whole release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Bring a unit up.
    Start(UnitName),
    /// Ask a unit to end.
    Stop(UnitName, StopReason),
    /// End a unit that did not end when it was asked to.
    Kill(UnitName),
    /// Tell a running unit that something changed, in the way that its pod.yaml names.
    Signal(UnitName, Nudge),
    /// Let go of what the pod holds only while it runs, as its network. All units are gone.
    Collect,
    /// Remove what the pod made, except logs and volumes. All units are gone.
    Remove,
    /// Do what a person asked for that changes no unit.
    Errand(Errand),
    /// Do what the plugin wanted to be asked about at this time.
    Tick,
}

/// Something that a person asks for and that changes no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Errand {
    /// Fetch what the pod needs.
    Download {
        /// True when also what is there already is fetched anew.
        is_forced: bool,
    },
    /// Make what units need before they start.
    Create,
    /// Make the volumes alone.
    CreateVolumes,
    /// Make the ramdisks alone.
    CreateRamdisks,
    /// Remove the volumes of a pod that is removed.
    Purge,
}

impl Operation {
    /// The unit that it is about; none when it is about the whole release.
    #[must_use]
    pub fn unit(&self) -> Option<&UnitName> {
        match self {
            Self::Start(unit) | Self::Stop(unit, _) | Self::Kill(unit) | Self::Signal(unit, _) => {
                Some(unit)
            }
            Self::Collect | Self::Remove | Self::Errand(_) | Self::Tick => None,
        }
    }
}

/// What the daemon knows of one release.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// What should become of the release.
    pub wanted: PodState,
    /// Its units, in the order of the compiled pod.
    pub units: Vec<UnitLife>,
    /// The operation that is under way.
    pub operation: Option<Operation>,
    /// True when plugin or grants have changed since it began: what failed by it may be tried again at once.
    pub outdated: bool,
    /// True when nothing of the release is left to remove.
    pub removed: bool,
    /// True when the release holds nothing that only a pod that runs needs.
    pub collected: bool,
    /// Why removing or collecting failed the last time, and when it may be tried again.
    pub remove_trouble: Option<(Trouble, u64)>,
    /// True when units that should end are killed, not asked.
    pub is_hasty: bool,
    /// What a person asked for and was not done yet.
    pub errand: Option<Errand>,
    /// Why the last errand failed.
    pub errand_trouble: Option<Trouble>,
    /// When the plugin wants to be asked again.
    pub tick: Tick,
}

impl Life {
    /// A release of which nothing exists yet.
    #[must_use]
    pub fn new(spec: &CompiledPod, wanted: PodState) -> Self {
        Self {
            wanted,
            units: spec
                .units
                .iter()
                .map(|unit| UnitLife::new(unit.name.clone()))
                .collect(),
            ..Self::empty()
        }
    }

    /// A release without a compiled pod, which no one wants to run.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            wanted: PodState::Stopped,
            units: Vec::new(),
            operation: None,
            outdated: false,
            removed: true,
            collected: true,
            remove_trouble: None,
            is_hasty: false,
            errand: None,
            errand_trouble: None,
            tick: Tick::default(),
        }
    }

    /// What is known of the unit of that name.
    #[must_use]
    pub fn unit(&self, name: &UnitName) -> Option<&UnitLife> {
        self.units.iter().find(|unit| unit.name == *name)
    }

    /// The same, to change it.
    pub fn unit_mut(&mut self, name: &UnitName) -> Option<&mut UnitLife> {
        self.units.iter_mut().find(|unit| unit.name == *name)
    }

    /// True when no unit runs, starts or ends.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.operation.is_none() && self.units.iter().all(UnitLife::is_gone)
    }
}
