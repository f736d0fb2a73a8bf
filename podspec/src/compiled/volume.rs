//! Volumes of a pod, and where its units see them.

use names::VolumeName;
use serde::{Deserialize, Serialize};

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name, unique in the pod.
    pub name: VolumeName,
    /// What it is; its `type` stands beside the name.
    #[serde(flatten)]
    pub kind: VolumeKind,
}

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum VolumeKind {
    /// Memory that looks like a directory and is gone with the pod.
    Ramdisk {
        /// Its size in MiB, at least 1.
        size_mib: u32,
    },
    /// A read-only directory that the release brings along as `config/NAME`.
    Config {
        /// Its files are encrypted for the host.
        #[serde(default)]
        encrypted: bool,
    },
    /// A directory that outlives the units.
    Volume {
        /// Who else sees the same directory.
        #[serde(default)]
        shared: Shared,
    },
    /// A path of the host.
    Host {
        /// The path: absolute, or relative to the project's pod directory until the plugin resolves it.
        bind: String,
    },
}

/// Who sees the same volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shared {
    /// This version of this pod.
    #[default]
    No,
    /// Every version of this pod.
    Pod,
    /// Every pod of the host's user that asks for the same name.
    Host,
}

/// A volume as one unit sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mount {
    /// The volume.
    pub volume: VolumeName,
    /// The absolute path inside the unit.
    pub dest: String,
}
