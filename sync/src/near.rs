//! The near end: reads the folder of a host in the Cluster Project into what the host should have.
//!
//! Refuses a project that cannot be carried whole: a plugin that is missing or has another digest than
//! `plugins.yaml` says, a release without its pod, a file that its reader would refuse. Must not know what
//! the host has, and writes nothing.

mod inside;
mod link;
mod pieces;
mod told;
mod wanted;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hostfiles::{
    Format, HostDir, HostState, IngressConf, Peer, PeerKey, Peers, PluginsYaml, PortMappings,
    Programs, Project, ReadError, ReleaseDir, Routers, present, read_if_present, read_with_text,
};
use names::{HostName, PodState, ReleaseId, VolumeName};

use crate::{Digest, Release, TreeError};

pub use link::{Delivery, Link, LinkError};
pub use wanted::Wanted;

/// The project does not hold what the host should have.
#[derive(Debug, thiserror::Error)]
pub enum NearError {
    /// The file system said no.
    #[error("cannot read {}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A file that the host would refuse.
    #[error("the project has a file that the host would refuse")]
    Format(#[from] ReadError),
    /// A config that cannot be carried.
    #[error("a config of {release} cannot be carried")]
    Config {
        /// The release.
        release: ReleaseId,
        /// What is wrong with it.
        source: TreeError,
    },
    /// A name that no config has.
    #[error("{} is no name of a config: {}", path.display(), VolumeName::RULE)]
    ConfigName {
        /// The directory.
        path: PathBuf,
    },
    /// A release that was not compiled to its end.
    #[error("{} is missing, so {release} was never compiled to its end: compile it again, or remove it with `sns pod delete`", path.display())]
    NoPod {
        /// The release.
        release: ReleaseId,
        /// Its `pod`.
        path: PathBuf,
    },
    /// A plugin that is named but not there.
    #[error("plugins.yaml of host {host} names plugin {name}, but {} is missing: install it with `sns plugin install`", path.display())]
    NoPlugin {
        /// The host.
        host: HostName,
        /// The plugin.
        name: String,
        /// Its component.
        path: PathBuf,
    },
    /// A program that is named but not there, or another one.
    #[error("programs.txt of host {host} names {name}, but {} is missing or another file: bring it back from git, or take it again with `sns host program`", path.display())]
    NoProgram {
        /// The host.
        host: HostName,
        /// The program.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// A plugin that is not the one that was granted.
    #[error("{} has the digest {found}, but plugins.yaml of host {host} grants {expected}: nobody knows what this component does; install the plugin again with `sns plugin install`", path.display())]
    PluginDigest {
        /// The host.
        host: HostName,
        /// The component.
        path: PathBuf,
        /// What it is.
        found: Digest,
        /// What it should be.
        expected: String,
    },
    /// A link, which may lead anywhere.
    #[error("{} is a symbolic link, and a sync follows none in the project", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Something that is read is no file.
    #[error("{} is no regular file", path.display())]
    NoFile {
        /// What it is instead.
        path: PathBuf,
    },
    /// A file that has no end in sight.
    #[error("{} is larger than {} GiB", path.display(), inside::FILE_BYTES_MAX >> 30)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The project was changed meanwhile.
    #[error("{} changed while it was read: sync again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// The addresses for `hosts.conf` of the host `own`: its own first, then those of the other active hosts,
/// in the order given. A host without an address of its own gets none: the first line *is* the own one.
#[must_use]
pub fn routers(own: &HostName, hosts: &[(HostName, HostState, Option<SocketAddr>)]) -> Routers {
    let address_of = |name: &HostName| {
        hosts
            .iter()
            .find(|(host, ..)| host == name)
            .and_then(|(.., address)| *address)
    };
    let Some(first) = address_of(own) else {
        return Routers::default();
    };
    let others = hosts
        .iter()
        .filter(|(host, state, _)| host != own && *state == HostState::Active)
        .filter_map(|(.., address)| *address);
    Routers(std::iter::once(first).chain(others).collect())
}

/// What `peers.conf` of the host `own` says: all hosts that have an address and keys, its own first. Also one that
/// takes no clients asks the others, so it is among them.
#[must_use]
pub fn peers(
    own: &HostName,
    hosts: &[(HostName, HostState, Option<SocketAddr>)],
    keys: &BTreeMap<HostName, Vec<PeerKey>>,
) -> Peers {
    let peer = |(name, _, address): &(HostName, HostState, Option<SocketAddr>)| {
        let keys = keys.get(name).filter(|keys| !keys.is_empty())?.clone();
        let address = (*address)?;
        Some((name != own, Peer { address, keys }))
    };
    let takes_part = hosts
        .iter()
        .filter(|(_, state, _)| *state != HostState::Disabled);
    let mut peers: Vec<(bool, Peer)> = takes_part.filter_map(peer).collect();
    // Whoever is not known itself is believed by nobody.
    if peers.iter().all(|(is_other, _)| *is_other) {
        return Peers::default();
    }
    peers.sort_by_key(|(is_other, _)| *is_other);
    Peers(peers.into_iter().map(|(_, peer)| peer).collect())
}

/// Reads hosts of one project, several at a time if the caller likes. Plugins that they share are read once.
#[derive(Debug)]
pub struct Near {
    project: Project,
    components: Mutex<BTreeMap<PathBuf, Digest>>,
}

impl Near {
    /// The near end of a project.
    #[must_use]
    pub fn new(project: Project) -> Self {
        Self {
            project,
            components: Mutex::default(),
        }
    }

    /// What the host should have. `routers` is its `hosts.conf` (see [`routers`]).
    ///
    /// # Errors
    /// The project does not hold it whole; see [`NearError`].
    pub fn wanted(&self, host: &HostName, routers: &Routers) -> Result<Wanted, NearError> {
        let mut wanted = Wanted::default();
        wanted.tree.hosts_conf = Some(wanted.keep(routers.to_text().into_bytes()));
        let (root, directory) = (self.project.path(), self.project.host(host));
        self.plugins(&mut wanted, host, &directory)?;
        self.programs(&mut wanted, host, &directory)?;
        let pods = directory.pods_dir();
        inside::directory(root, &pods)?;
        for pod in subdirectories(&pods)? {
            inside::directory(root, &pod)?;
            inside::directory(root, &pod.join("release"))?;
        }
        for id in directory.releases().map_err(io_at(&pods))? {
            let release = read_release(root, &mut wanted, &id, &directory.release(&id))?;
            wanted.tree.releases.insert(id, release);
        }
        Ok(wanted)
    }

    fn plugins(
        &self,
        wanted: &mut Wanted,
        host: &HostName,
        directory: &HostDir,
    ) -> Result<(), NearError> {
        if inside::file(self.project.path(), &directory.plugins_yaml())?.is_none() {
            return Ok(());
        }
        let read = present(read_with_text::<PluginsYaml>(&directory.plugins_yaml()))?;
        let Some((plugins, text)) = read else {
            return Ok(());
        };
        for entry in &plugins.plugins {
            let path = self.project.plugins_dir().join(entry.file_name());
            let no_plugin = || NearError::NoPlugin {
                host: host.clone(),
                name: entry.name.clone(),
                path: path.clone(),
            };
            let found = self.component(&path)?.ok_or_else(no_plugin)?;
            if found.to_string() != entry.digest {
                let expected = entry.digest.clone();
                return Err(NearError::PluginDigest {
                    host: host.clone(),
                    path,
                    found,
                    expected,
                });
            }
            wanted.lies_in(found, path);
            wanted.tree.plugins.insert(entry.file_name(), found);
        }
        wanted.tree.plugins_yaml = Some(wanted.keep(text.into_bytes()));
        Ok(())
    }

    fn programs(
        &self,
        wanted: &mut Wanted,
        host: &HostName,
        directory: &HostDir,
    ) -> Result<(), NearError> {
        inside::file(self.project.path(), &directory.programs())?;
        let listed = read_if_present::<Programs>(&directory.programs())?;
        for (name, expected) in listed.unwrap_or_default().0 {
            let file = Programs::file_name(&name, &expected);
            let path = self.project.programs_dir().join(file);
            let found = self.component(&path)?;
            let Some(found) = found.filter(|found| found.to_string() == expected) else {
                return Err(NearError::NoProgram {
                    host: host.clone(),
                    name,
                    path,
                });
            };
            wanted.lies_in(found, path);
            wanted.tree.programs.insert(name, found);
        }
        Ok(())
    }

    fn component(&self, path: &Path) -> Result<Option<Digest>, NearError> {
        // Held while a component is read, so that of two hosts only one reads it.
        let mut components = self
            .components
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = components.get(path) {
            return Ok(Some(*digest));
        }
        if inside::file(self.project.path(), path)?.is_none() {
            return Ok(None);
        }
        let digest = Digest::of_file(path).map_err(io_at(path))?;
        components.insert(path.to_owned(), digest);
        Ok(Some(digest))
    }
}

fn read_release(
    root: &Path,
    wanted: &mut Wanted,
    id: &ReleaseId,
    directory: &ReleaseDir,
) -> Result<Release, NearError> {
    inside::file(root, &directory.state())?;
    let state = read_if_present::<PodState>(&directory.state())?;
    let pod = wanted.file(root, &directory.pod())?;
    if pod.is_none() && matches!(state, Some(PodState::Running | PodState::Stopped)) {
        return Err(NearError::NoPod {
            release: id.clone(),
            path: directory.pod(),
        });
    }
    let mut configs = BTreeMap::new();
    for (name, path) in config_directories(root, &directory.configs_dir())? {
        let config = wanted.config(&path);
        configs.insert(
            name,
            config.map_err(|source| NearError::Config {
                release: id.clone(),
                source,
            })?,
        );
    }
    let portmappings = wanted.checked::<PortMappings>(root, &directory.portmappings())?;
    let routes = wanted.checked::<IngressConf>(root, &directory.ingress())?;
    let routes_inactive = wanted.checked::<IngressConf>(root, &directory.ingress_inactive())?;
    // Routes are in force or not; with both files, those in force count.
    let routes_inactive = routes_inactive.filter(|_| routes.is_none());
    Ok(Release {
        state,
        pod,
        portmappings,
        routes,
        routes_inactive,
        configs,
    })
}

/// The configs of a release. Hidden ones and those that begin with `_` stay in the project.
fn config_directories(
    root: &Path,
    directory: &Path,
) -> Result<Vec<(VolumeName, PathBuf)>, NearError> {
    inside::directory(root, directory)?;
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(io_at(directory))?,
    };
    let mut configs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_at(directory))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let stays = name.starts_with(['.', '_']);
        if !stays && entry.file_type().map_err(io_at(&path))?.is_dir() {
            let name = name
                .parse()
                .map_err(|_| NearError::ConfigName { path: path.clone() })?;
            configs.push((name, path));
        }
    }
    Ok(configs)
}

fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>, NearError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        listed => listed.map_err(io_at(directory))?,
    };
    let paths = entries.map(|entry| Ok(entry?.path()));
    paths.collect::<io::Result<_>>().map_err(io_at(directory))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> NearError + '_ {
    |source| NearError::Io {
        path: path.to_owned(),
        source,
    }
}
