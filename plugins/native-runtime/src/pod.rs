//! The parts of a compiled pod that this kind reads. Unknown fields are left alone: a pod compiled by a
//! newer version with the same major is still understood.

use serde::{Deserialize, Serialize};

/// A compiled pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pod {
    pub(crate) pod: String,
    pub(crate) pod_version: String,
    #[serde(default)]
    pub(crate) volumes: Vec<Volume>,
    #[serde(default)]
    pub(crate) units: Vec<Unit>,
}

/// A volume of the pod.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Volume {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// For type `config`: its files are encrypted, and the daemon opens them in memory.
    #[serde(default)]
    pub(crate) encrypted: bool,
    /// The path on the host, for type `host`.
    #[serde(default)]
    pub(crate) bind: Option<String>,
}

/// A unit with what this plugin resolved.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Unit {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) mounts: Vec<Mount>,
    #[serde(default)]
    pub(crate) expose: Vec<Expose>,
    #[serde(default)]
    pub(crate) spec: Spec,
}

/// A volume at its place in a unit.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Mount {
    pub(crate) volume: String,
    pub(crate) dest: String,
}

/// A port of a unit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Expose {
    #[serde(default)]
    pub(crate) target_port: Option<u16>,
    #[serde(default)]
    pub(crate) host_port: Option<u16>,
}

/// The resolved specification of a process. The daemon knows these names, see `report.resolved`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) env: Vec<Variable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) working_directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

/// A variable of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// What the shim of a unit knows.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Truth {
    pub(crate) pid: Option<u32>,
    pub(crate) running: bool,
    pub(crate) exit: Option<i32>,
}

impl Truth {
    /// The state in the words of the contract.
    pub(crate) fn state(&self) -> &'static str {
        match (self.running, self.exit) {
            (true, _) => "running",
            (false, Some(_)) => "exited",
            (false, None) => "absent",
        }
    }
}
