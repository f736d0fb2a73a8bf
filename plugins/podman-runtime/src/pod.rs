//! The parts of a compiled pod that this kind reads. Unknown fields are left alone: a pod compiled by a
//! newer version with the same major is still understood.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::network::Network;

/// A compiled pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pod {
    pub(crate) pod: String,
    pub(crate) pod_version: String,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) volumes: Vec<Volume>,
    #[serde(default)]
    pub(crate) units: Vec<Unit>,
}

impl Pod {
    /// True when there is one container, which has nobody to share a network with: it needs no podman pod, and
    /// starts in half the time.
    pub(crate) fn is_alone(&self) -> bool {
        self.units.len() == 1
    }

    /// False when all containers use the network of the host, so that there is no other.
    pub(crate) fn has_own_network(&self) -> bool {
        let mut units = self.units.iter();
        self.units.is_empty() || units.any(|unit| !unit.spec.has_host_network())
    }
}

/// A volume of the pod.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Volume {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Who else sees it, for type `volume`: `no`, `pod` or `host`.
    #[serde(default)]
    pub(crate) shared: String,
    /// For type `config`: its files are encrypted, and the daemon opens them in memory.
    #[serde(default)]
    pub(crate) encrypted: bool,
    /// The path on the host, for type `host`.
    #[serde(default)]
    pub(crate) bind: Option<String>,
}

/// A container with what this plugin resolved.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Unit {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) mounts: Vec<Mount>,
    #[serde(default)]
    pub(crate) expose: Vec<Expose>,
    #[serde(default)]
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) spec: Spec,
    /// What tells this specification from others; given by the daemon.
    #[serde(default)]
    pub(crate) digest: String,
}

/// A volume at its place in a container.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Mount {
    pub(crate) volume: String,
    pub(crate) dest: String,
}

/// A port of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Expose {
    #[serde(default)]
    pub(crate) target_port: Option<u16>,
    #[serde(default)]
    pub(crate) host_port: Option<u16>,
    #[serde(default)]
    pub(crate) host_interface: Option<String>,
}

/// What a container may use at most.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cpu_millis: Option<u32>,
    pub(crate) pids: Option<u32>,
}

/// The resolved specification of a container. The daemon knows some of these names, see
/// `report.resolved`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    pub(crate) image: String,
    /// The program in place of that of the image and its first arguments, as a JSON list in one text, which is
    /// how podman takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entrypoint: Option<String>,
    /// Arguments for that program, or for that of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) args: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) env: Vec<Variable>,
    /// Where it starts, inside of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// [`HOST_NETWORK`], or that of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) read_only: bool,
    /// Capabilities that it gets besides podman's usual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) capabilities: Vec<String>,
    /// Capabilities that it does not get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dropped: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) privileged: bool,
}

/// The network of the host.
pub(crate) const HOST_NETWORK: &str = "host";

impl Spec {
    pub(crate) fn has_host_network(&self) -> bool {
        self.network.is_some()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !value
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
    pub(crate) running: bool,
    pub(crate) exit: Option<i32>,
}

/// What this plugin asked the daemon to keep for a pod. It is a help: nothing is wrong without it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Memory {
    /// The arguments with which the podman pod was created that exists now; of a container that is alone, those
    /// by which it is connected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) created: Vec<String>,
    /// How that podman pod is connected.
    #[serde(skip_serializing_if = "Network::is_usual")]
    pub(crate) network: Network,
    /// Images that are there, each with the signal that asks its containers to end.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) images: BTreeMap<String, String>,
}
