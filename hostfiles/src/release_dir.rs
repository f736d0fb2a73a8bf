//! The files of one release of one pod, the same in a Cluster Project and on a host.
//!
//! Knows names only; which of the files exist, and where, is said in `docs/HOST_FILES.md`.

use std::path::{Path, PathBuf};

use names::{UnitName, VolumeName};

/// The directory of one release: `…/pods/POD/release/VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseDir(PathBuf);

impl ReleaseDir {
    /// The release that lies in `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The compiled pod, executable.
    #[must_use]
    pub fn pod(&self) -> PathBuf {
        self.0.join("pod")
    }

    /// The source that the pod was compiled from; in the project only.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.0.join(".pod.yaml")
    }

    /// What should become of the release: a [`names::PodState`].
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.0.join("pod.state")
    }

    /// A request to whoever drives the release: a [`crate::PodAction`].
    #[must_use]
    pub fn action(&self) -> PathBuf {
        self.0.join("pod.action")
    }

    /// What a person has asked the driver for, and what has become of it.
    #[must_use]
    pub fn hand(&self) -> PathBuf {
        self.0.join(".pod.hand")
    }

    /// What has become of the release: a [`crate::PodStatus`].
    #[must_use]
    pub fn status(&self) -> PathBuf {
        self.0.join(".pod.status")
    }

    /// What the daemon says of a foreign pod: a [`crate::PodProblem`].
    #[must_use]
    pub fn problem(&self) -> PathBuf {
        self.0.join(".pod.problem")
    }

    /// What tells a pod that lies by itself from every other of its name: a [`crate::HostId`].
    #[must_use]
    pub fn id(&self) -> PathBuf {
        self.0.join(".pod.id")
    }

    /// The lock of whoever drives the release.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join(".pod.lock")
    }

    /// The ports that the pod would publish: [`crate::PortMappings`].
    #[must_use]
    pub fn portmappings(&self) -> PathBuf {
        self.0.join("pod.portmappings.conf")
    }

    /// The routes to the pod that are in force: a [`crate::IngressConf`].
    #[must_use]
    pub fn ingress(&self) -> PathBuf {
        self.0.join("pod.ingress.conf")
    }

    /// The routes to the pod that are not in force: a [`crate::IngressConf`].
    #[must_use]
    pub fn ingress_inactive(&self) -> PathBuf {
        self.0.join("pod.ingress.conf.inactive")
    }

    /// The directory of all configs.
    #[must_use]
    pub fn configs_dir(&self) -> PathBuf {
        self.0.join("config")
    }

    /// The directory of one config.
    #[must_use]
    pub fn config(&self, name: &VolumeName) -> PathBuf {
        self.configs_dir().join(name.as_str())
    }

    /// The checksum of one config: a [`crate::ConfigChecksum`].
    #[must_use]
    pub fn config_checksum(&self, name: &VolumeName) -> PathBuf {
        self.configs_dir().join(format!("{name}.txt"))
    }

    /// The directory of the logs.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The directory of what is true only while units run: process ids, exits, generated configuration.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.0.join("run")
    }

    /// Where a ramdisk is mounted.
    #[must_use]
    pub fn ramdisk(&self, name: &VolumeName) -> PathBuf {
        self.0.join("ramdisk").join(name.as_str())
    }

    /// The directory that a native unit starts in, with its mounts as links.
    #[must_use]
    pub fn root_dir(&self, unit: &UnitName) -> PathBuf {
        self.0.join("root").join(unit.as_str())
    }
}
