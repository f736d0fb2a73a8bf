//! What a plugin says is so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The outcome of `assess`, and what a `plan` may add to its steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The state of every unit that the plugin knows of.
    pub units: Vec<UnitReport>,
    /// Sentences for people, by pod.
    pub messages: Vec<(String, String)>,
    /// When the plugin wants to be asked to plan `tick`, by pod, in milliseconds since the Unix epoch.
    pub wake_at_ms: BTreeMap<String, u64>,
    /// State to keep for a pod, replacing what was kept.
    pub state: BTreeMap<String, Vec<u8>>,
}

/// The state of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitReport {
    /// `pod:version`.
    pub pod: String,
    /// The unit's name.
    pub unit: String,
    /// `running`, `exited` or `absent`.
    pub state: String,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// The exit status of its last run.
    pub exit: Option<i32>,
}
