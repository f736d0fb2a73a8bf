//! What a plugin is shown when it is asked: plain data, recorded by the daemon before the call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Everything a plugin can see during one call. The same view always gives the same answer, so a
/// recorded view can be replayed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// What is to be planned; empty for `observe` and `assess`.
    pub operation: Operation,
    /// Milliseconds since the Unix epoch, as read by the daemon before the call.
    pub now_ms: u64,
    /// What the daemon knows of the host, by name (`docs/PLUGINS.md` lists them).
    pub facts: BTreeMap<String, String>,
    /// The pods that the call is about: all of the kind for `observe` and `assess`, one for `plan`.
    pub pods: Vec<PodView>,
    /// The answers to looks, by the id that the plugin gave the look.
    pub answers: BTreeMap<String, Answer>,
}

/// One operation of the pod's lifecycle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// `download`, `create`, `start`, `stop`, `kill`, `execute`, `shell`, `signal`, `reload`, `tick`,
    /// `collect`, `remove` or `purge`. A plugin answers one it does not know with a fault.
    pub name: String,
    /// Why, in a few words for logs: `wanted state is running`, `liveness probe failed`.
    pub cause: String,
    /// The unit that it is about, for operations on one unit.
    pub unit: Option<String>,
    /// Named arguments, for example `signal` = `HUP`.
    pub arguments: BTreeMap<String, String>,
    /// The command of `execute` and `shell`.
    pub argv: Vec<String>,
}

/// One pod as a plugin sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PodView {
    /// `pod:version`.
    pub id: String,
    /// The compiled pod as JSON.
    pub spec: serde_json::Value,
    /// What the daemon's own shims know of the units.
    pub units: Vec<UnitTruth>,
    /// What the plugin asked the daemon to keep for this pod.
    pub state: Vec<u8>,
}

/// What the shim of a unit knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitTruth {
    /// The unit's name.
    pub unit: String,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// True while it runs.
    pub running: bool,
    /// The exit status of its last run; 128 + signal number when a signal ended it.
    pub exit: Option<i32>,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended_ms: Option<u64>,
}

/// What a look brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The exit status of the command; 128 + signal number when a signal ended it.
    pub exit: i32,
    /// Its standard output, cut to the limit of the look.
    pub stdout: Vec<u8>,
    /// Its standard error, cut likewise.
    pub stderr: Vec<u8>,
    /// Of output that went into a file instead of `stdout`.
    pub kept: Option<Kept>,
}

/// What is told of output that a plugin does not see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub digest: String,
}

impl Kept {
    /// What is told of this output.
    #[must_use]
    pub fn of(output: &[u8]) -> Self {
        Self {
            bytes: output.len() as u64,
            digest: Digest::of(output).to_string(),
        }
    }
}

impl Answer {
    /// Size and digest of the standard output, wherever it is.
    #[must_use]
    pub fn output(&self) -> Kept {
        self.kept.clone().unwrap_or_else(|| Kept::of(&self.stdout))
    }
}

impl View {
    /// The pod with this id.
    #[must_use]
    pub fn pod(&self, id: &str) -> Option<&PodView> {
        self.pods.iter().find(|pod| pod.id == id)
    }
}
