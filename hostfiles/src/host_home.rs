//! The directory of a cluster on a host: where each file in it lies, and which releases are there.
//!
//! Must not know what the files say.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use names::{PodName, PodVersion, ReleaseId};

use crate::ReleaseDir;

/// A host home: everything of one cluster on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostHome(PathBuf);

impl HostHome {
    /// The host home at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Which cluster this is: a [`crate::ClusterId`].
    #[must_use]
    pub fn cluster_id(&self) -> PathBuf {
        self.0.join("cluster-id.txt")
    }

    /// What tells it from every other host home of the machine: a [`crate::HostId`].
    #[must_use]
    pub fn host_id(&self) -> PathBuf {
        self.0.join("host-id.txt")
    }

    /// The logins of image registries, in the form of docker and podman. Made by hand; none is fine.
    #[must_use]
    pub fn registry_config(&self) -> PathBuf {
        self.0.join("registry-config.json")
    }

    /// The commits of the last synced project: a [`crate::CommitChain`].
    #[must_use]
    pub fn commit_chain(&self) -> PathBuf {
        self.0.join("commit-chain.txt")
    }

    /// Who the proxies of the cluster are, by their keys: [`crate::Peers`].
    #[must_use]
    pub fn peers_conf(&self) -> PathBuf {
        self.0.join("peers.conf")
    }

    /// The private keys of this host's proxy, which never leave the host.
    #[must_use]
    pub fn proxy_key(&self) -> PathBuf {
        self.0.join("proxy-key.txt")
    }

    /// The proxies of all hosts, the own one first: [`crate::Routers`].
    #[must_use]
    pub fn hosts_conf(&self) -> PathBuf {
        self.0.join("hosts.conf")
    }

    /// The ports of the pods that are ready: [`crate::PortMappings`].
    #[must_use]
    pub fn portmappings_conf(&self) -> PathBuf {
        self.0.join("portmappings.conf")
    }

    /// Where the pods that are ready are inside their networks: [`crate::Endpoints`].
    #[must_use]
    pub fn endpoints_conf(&self) -> PathBuf {
        self.0.join("endpoints.conf")
    }

    /// The cluster ports that exist in the cluster: [`crate::ClusterPorts`].
    #[must_use]
    pub fn cluster_ports_conf(&self) -> PathBuf {
        self.0.join("clusterports.conf")
    }

    /// The plugins of this host and what they may do: [`crate::PluginsYaml`].
    #[must_use]
    pub fn plugins_yaml(&self) -> PathBuf {
        self.0.join("plugins.yaml")
    }

    /// The directory of the plugin components, `NAME-VERSION.wasm`.
    #[must_use]
    pub fn plugins_dir(&self) -> PathBuf {
        self.0.join("plugins")
    }

    /// The directory of the programs that count before those that were installed with the daemon.
    #[must_use]
    pub fn programs_dir(&self) -> PathBuf {
        self.0.join("programs")
    }

    /// The directory of the secrets: one file for each, made by hand, read by the daemon alone.
    #[must_use]
    pub fn secrets_dir(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// The private keys of the host, which open its encrypted configs: an identity file of age. Read by the daemon
    /// alone, and by `sns` where it makes them; no sync carries it.
    #[must_use]
    pub fn age_key(&self) -> PathBuf {
        self.0.join("age-key.txt")
    }

    /// The directory in which a sync keeps its lock, its stage and its journal.
    #[must_use]
    pub fn sync_dir(&self) -> PathBuf {
        self.0.join(".sync")
    }

    /// The directory of the pods.
    #[must_use]
    pub fn pods_dir(&self) -> PathBuf {
        self.0.join("pods")
    }

    /// The directory of one release, whether it exists or not.
    #[must_use]
    pub fn release(&self, release: &ReleaseId) -> ReleaseDir {
        release_in(&self.pods_dir(), release)
    }

    /// All releases on the host, sorted. Names that are hidden or no names of pods and versions are
    /// skipped. A host home without `pods` has no releases.
    ///
    /// # Errors
    /// A directory cannot be listed. One that vanishes meanwhile is no error: pods come and go.
    pub fn releases(&self) -> io::Result<Vec<ReleaseId>> {
        releases_in(&self.pods_dir())
    }
}

pub(crate) fn release_in(pods: &Path, release: &ReleaseId) -> ReleaseDir {
    let pod = pods.join(release.pod.as_str());
    ReleaseDir::new(pod.join("release").join(release.version.to_string()))
}

pub(crate) fn releases_in(pods: &Path) -> io::Result<Vec<ReleaseId>> {
    let mut releases = Vec::new();
    for pod in directories::<PodName>(pods)? {
        for version in directories::<PodVersion>(&pods.join(pod.as_str()).join("release"))? {
            releases.push(ReleaseId {
                pod: pod.clone(),
                version,
            });
        }
    }
    Ok(releases)
}

/// The sub-directories whose names are a `T`, sorted as `T` sorts.
pub(crate) fn directories<T: FromStr + Ord>(directory: &Path) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(directory) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        listed => listed?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(name) = name
            && entry.file_type()?.is_dir()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
