//! One host of the project: its settings, its state, its pods, and where its home is.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hostfiles::{HostAddress, HostDir, HostEnv, HostHome, HostState, PluginsYaml};
use names::{HostName, PodName, ReleaseId};

use super::Cluster;
use crate::command_error::CommandError;
use crate::environment::Environment;
use crate::ports::Address;

/// One host of the project.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) name: HostName,
    /// Its directory in the project.
    pub(crate) dir: HostDir,
    /// How it is reached.
    pub(crate) env: HostEnv,
    /// Whether it takes part.
    pub(crate) state: HostState,
}

/// The home of a local host on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// Where its files lie.
    pub(crate) files: HostHome,
}

impl Host {
    /// Reads the settings of a host.
    pub(super) fn read(cluster: &Cluster<'_>, name: &HostName) -> Result<Self, CommandError> {
        let dir = cluster.files.host(name);
        let env = hostfiles::read(&dir.host_env())?;
        let state = hostfiles::read_if_present(&dir.host_state())?.unwrap_or_default();
        Ok(Self {
            name: name.clone(),
            dir,
            env,
            state,
        })
    }

    /// True when the host is this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.env.address() == Some(HostAddress::Local)
    }

    /// True when the host is left alone by syncs and by commands that name no host.
    pub(crate) fn is_disabled(&self) -> bool {
        self.state == HostState::Disabled
    }

    /// Where the host listens.
    pub(crate) fn address(&self) -> Address {
        let machine = match self.env.address() {
            Some(HostAddress::Local) => "local",
            Some(HostAddress::Remote(address)) => address,
            None => self.name.as_str(),
        };
        Address {
            host: self.name.clone(),
            machine: machine.to_owned(),
            router: self.router_ip(),
            takes_part: !self.is_disabled(),
        }
    }

    /// The address that its pods listen on by default.
    pub(crate) fn router_ip(&self) -> Option<IpAddr> {
        self.env.router_address().map(|address| address.ip())
    }

    /// The home of a local host; for a remote one says plainly that this version cannot reach it.
    pub(crate) fn home(&self, environment: &Environment) -> Result<Home, CommandError> {
        if !self.is_local() {
            return Err(CommandError::mistake(format!(
                "host {} is not on this machine, and this version works with local hosts only",
                self.name
            ))
            .hint(format!("set it aside with `sns host state {} -s disabled`, or register it with --address=local", self.name)));
        }
        Ok(Home {
            files: HostHome::new(home_path(self.env.host_home(), environment)?),
        })
    }

    /// The pods that are attached to it, sorted.
    pub(crate) fn attached(&self) -> Result<Vec<PodName>, CommandError> {
        self.dir.attached().map_err(|error| self.unlisted(error))
    }

    /// True when a pod is attached to it.
    pub(crate) fn has(&self, pod: &PodName) -> bool {
        self.dir.pod_log(pod).is_file()
    }

    /// Its releases, sorted.
    pub(crate) fn releases(&self) -> Result<Vec<ReleaseId>, CommandError> {
        self.dir.releases().map_err(|error| self.unlisted(error))
    }

    /// Its plugins; none when `sns host init` was not run yet.
    pub(crate) fn plugins(&self) -> Result<PluginsYaml, CommandError> {
        Ok(hostfiles::read_if_present(&self.dir.plugins_yaml())?.unwrap_or_default())
    }

    /// True when the owner of its home is root. A home that does not exist yet will belong to the owner
    /// of the directory above it; a remote home belongs to the host's user.
    pub(crate) fn is_owned_by_root(&self, environment: &Environment) -> bool {
        match self.home(environment) {
            Ok(home) => {
                let nearest = home
                    .files
                    .path()
                    .ancestors()
                    .find_map(|path| fs::metadata(path).ok());
                nearest.is_some_and(|metadata| metadata.uid() == 0)
            }
            Err(_) => self.env.user() == Some("root"),
        }
    }

    fn unlisted(&self, error: std::io::Error) -> CommandError {
        CommandError::files(
            format!("could not list the pods of host {}", self.name),
            error,
        )
    }
}

/// An absolute home as it is, a relative one below the user's home directory.
pub(crate) fn home_path(home: &str, environment: &Environment) -> Result<PathBuf, CommandError> {
    if Path::new(home).is_absolute() {
        return Ok(PathBuf::from(home));
    }
    let below = environment.home.as_ref().ok_or_else(|| {
        CommandError::mistake(format!(
            "the host home `{home}` lies below the home directory, and HOME is not set"
        ))
        .hint("set HOME, or give an absolute --dir-home")
    })?;
    Ok(below.join(home))
}

/// Where the home of a host is, as one word for each place that there is.
pub(crate) fn home_place(env: &HostEnv, environment: &Environment) -> Result<String, CommandError> {
    let home = env.host_home();
    match env.address() {
        Some(HostAddress::Remote(address)) => {
            let user = env.user().unwrap_or_default();
            Ok(format!("{user}@{address}:{}/{home}", env.port()))
        }
        Some(HostAddress::Local) | None => {
            let path = home_path(home, environment)?;
            Ok(path.canonicalize().unwrap_or(path).display().to_string())
        }
    }
}
