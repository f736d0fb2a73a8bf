//! The Cluster Project: the git repository that mirrors the hosts. Where each file in it lies.
//!
//! Must not know git, and not what the files say.

use std::io;
use std::path::{Path, PathBuf};

use names::{HostName, PodName, ReleaseId};

use crate::ReleaseDir;
use crate::host_home::{directories, release_in, releases_in};

/// The root directory of a Cluster Project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project(PathBuf);

/// No directory from here upwards is a Cluster Project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not inside a Cluster Project: no cluster-id.txt here or in a directory above; change into one, or make one with `sns cluster create`", .0.display())]
pub struct NotInProject(PathBuf);

impl Project {
    /// The project whose root is `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The project that `start` lies in: the nearest directory, upwards, with a `cluster-id.txt`.
    ///
    /// # Errors
    /// There is none.
    pub fn find(start: &Path) -> Result<Self, NotInProject> {
        start
            .ancestors()
            .map(Self::new)
            .find(|project| project.cluster_id().is_file())
            .ok_or_else(|| NotInProject(start.to_owned()))
    }

    /// The root directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Which cluster this is: a [`crate::ClusterId`].
    #[must_use]
    pub fn cluster_id(&self) -> PathBuf {
        self.0.join("cluster-id.txt")
    }

    /// The variables of the cluster: [`crate::ClusterVars`].
    #[must_use]
    pub fn vars(&self) -> PathBuf {
        self.0.join("cluster-vars.env")
    }

    /// The public keys of those who may change secrets: a recipients file of age.
    #[must_use]
    pub fn operators(&self) -> PathBuf {
        self.0.join("operators.txt")
    }

    /// What was done to the cluster, one line each.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("log.txt")
    }

    /// Where pod repositories are cloned to when no PODPATH is given; ignored by git.
    #[must_use]
    pub fn pods_clones(&self) -> PathBuf {
        self.0.join("_pods")
    }

    /// The cluster's copy of the configs of a pod.
    #[must_use]
    pub fn config_dir(&self, pod: &PodName) -> PathBuf {
        self.0.join("_config").join(pod.as_str())
    }

    /// The plugin components, `NAME-VERSION.wasm`.
    #[must_use]
    pub fn plugins_dir(&self) -> PathBuf {
        self.0.join("_plugins")
    }

    /// What is kept of removed releases: a [`crate::Collection`].
    #[must_use]
    pub fn collection(&self) -> PathBuf {
        self.0.join("gc.env")
    }

    /// The programs that hosts get from the project, `NAME-DIGEST`.
    #[must_use]
    pub fn programs_dir(&self) -> PathBuf {
        self.0.join("_programs")
    }

    /// What each sync said, one file per sync.
    #[must_use]
    pub fn synclogs(&self) -> PathBuf {
        self.0.join("_synclogs")
    }

    /// All hosts of the project, sorted: the directories with a `host.env`.
    ///
    /// # Errors
    /// The project cannot be listed.
    pub fn hosts(&self) -> io::Result<Vec<HostName>> {
        let mut hosts: Vec<HostName> = directories(&self.0)?;
        hosts.retain(|host| self.host(host).host_env().is_file());
        Ok(hosts)
    }

    /// The directory of a host, whether it exists or not.
    #[must_use]
    pub fn host(&self, host: &HostName) -> HostDir {
        HostDir(self.0.join(host.as_str()))
    }
}

/// The directory of one host in a Cluster Project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDir(PathBuf);

impl HostDir {
    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// How the host is reached: a [`crate::HostEnv`].
    #[must_use]
    pub fn host_env(&self) -> PathBuf {
        self.0.join("host.env")
    }

    /// How the host's superuser is reached: a [`crate::HostEnv`]; may be absent.
    #[must_use]
    pub fn superuser_env(&self) -> PathBuf {
        self.0.join("host-superuser.env")
    }

    /// Whether the host takes part: a [`crate::HostState`]; absent means active.
    #[must_use]
    pub fn host_state(&self) -> PathBuf {
        self.0.join("host.state")
    }

    /// The plugins of this host and what they may do: [`crate::PluginsYaml`].
    #[must_use]
    pub fn plugins_yaml(&self) -> PathBuf {
        self.0.join("plugins.yaml")
    }

    /// The programs that the host gets from the project: [`crate::Programs`].
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.0.join("programs.txt")
    }

    /// By which keys the host's SSH server proves who it is: [`crate::SshHostKeys`].
    #[must_use]
    pub fn ssh_host_keys(&self) -> PathBuf {
        self.0.join("host-key.txt")
    }

    /// The public keys of the host's proxy: [`crate::PublicKeys`].
    #[must_use]
    pub fn proxy_keys(&self) -> PathBuf {
        self.0.join("proxy-keys.txt")
    }

    /// The public key of the host: a recipients file of age with one line.
    #[must_use]
    pub fn age_recipient(&self) -> PathBuf {
        self.0.join("age-recipient.txt")
    }

    /// The directory of the pods.
    #[must_use]
    pub fn pods_dir(&self) -> PathBuf {
        self.0.join("pods")
    }

    /// The directory of one pod.
    #[must_use]
    pub fn pod_dir(&self, pod: &PodName) -> PathBuf {
        self.pods_dir().join(pod.as_str())
    }

    /// What was done to the pod on this host. Its existence *is* the attachment of the pod to the host.
    #[must_use]
    pub fn pod_log(&self, pod: &PodName) -> PathBuf {
        self.pod_dir(pod).join("log.txt")
    }

    /// The repository that the pod comes from, one line.
    #[must_use]
    pub fn git_url(&self, pod: &PodName) -> PathBuf {
        self.pod_dir(pod).join("git.url")
    }

    /// The directory of one release, whether it exists or not.
    #[must_use]
    pub fn release(&self, release: &ReleaseId) -> ReleaseDir {
        release_in(&self.pods_dir(), release)
    }

    /// All pods attached to the host, sorted.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn attached(&self) -> io::Result<Vec<PodName>> {
        let mut pods: Vec<PodName> = directories(&self.pods_dir())?;
        pods.retain(|pod| self.pod_log(pod).is_file());
        Ok(pods)
    }

    /// All releases of the host, sorted; hidden ones (deleted, detached) are skipped.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn releases(&self) -> io::Result<Vec<ReleaseId>> {
        releases_in(&self.pods_dir())
    }
}
