//! What a host should have, or has: plain data, by digest, that one end can send to the other.
//!
//! Also reads a config directory, because both ends have them. Must not know where a project or a host
//! home keeps its files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hostfiles::ConfigChecksum;
use names::{PodState, ReleaseId, VolumeName};
use serde::{Deserialize, Serialize};

use crate::Digest;

/// Everything that a sync carries to one host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tree {
    /// `hosts.conf`.
    pub hosts_conf: Option<Digest>,
    /// `clusterports.conf`.
    pub cluster_ports_conf: Option<Digest>,
    /// `peers.conf`.
    pub peers_conf: Option<Digest>,
    /// `plugins.yaml`.
    pub plugins_yaml: Option<Digest>,
    /// The plugin components, by file name.
    pub plugins: BTreeMap<String, Digest>,
    /// Programs that count before those that were installed with the daemon, by name.
    #[serde(default)]
    pub programs: BTreeMap<String, Digest>,
    /// The releases.
    pub releases: BTreeMap<ReleaseId, Release>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Release {
    /// `pod.state`; none when it is absent or no state.
    pub state: Option<PodState>,
    /// `pod`; none when it is absent or not executable.
    pub pod: Option<Digest>,
    /// `pod.portmappings.conf`.
    pub portmappings: Option<Digest>,
    /// `pod.ingress.conf`.
    pub routes: Option<Digest>,
    /// `pod.ingress.conf.inactive`.
    pub routes_inactive: Option<Digest>,
    /// The configs that are whole.
    pub configs: BTreeMap<VolumeName, Config>,
}

/// One config directory: its files by relative path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Config {
    /// Content and permissions of each file, by its path below the config.
    pub files: BTreeMap<String, Mark>,
}

/// One file of a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its content.
    pub digest: Digest,
    /// Whether it may be executed: all that git keeps of permissions.
    pub executable: bool,
}

impl Tree {
    /// Its text, equal for equal trees.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Maps of plain data always have a JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The digest by which two ends find that they have the same.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

impl Config {
    /// The checksum that is kept in `config/NAME.txt`: of contents and paths.
    #[must_use]
    pub fn checksum(&self) -> ConfigChecksum {
        let mut lines: Vec<String> = self
            .files
            .iter()
            .map(|(path, mark)| format!("{}  ./{path}\n", mark.digest))
            .collect();
        lines.sort_unstable();
        Digest::of(lines.concat().as_bytes()).bytes().into()
    }

    /// The digest by which the directory of its files is named on a host: of permissions too.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let line = |(path, mark): (&String, &Mark)| {
            let kind = if mark.executable { 'x' } else { '-' };
            format!("{} {kind} {path}\n", mark.digest)
        };
        Digest::of(self.files.iter().map(line).collect::<String>().as_bytes())
    }

    /// The names at the top of the directory, each once.
    pub(crate) fn top(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        self.files.keys().filter_map(move |path| {
            let name = path.split('/').next()?;
            (last != Some(name))
                .then(|| last = Some(name))
                .map(|()| name)
        })
    }
}

/// A config directory cannot be carried.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The file system said no.
    #[error("cannot read {}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A thing in a config that is no plain file, or has no plain name.
    #[error("{} cannot be part of a config: {why}", path.display())]
    Foreign {
        /// The thing.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
}

impl TreeError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Deepest nesting of directories in a config.
const DEPTH_MAX: usize = 32;

/// Takes the digest of a file.
pub(crate) type Reader<'a> = dyn FnMut(&Path) -> io::Result<Digest> + 'a;

impl Config {
    /// Reads a config directory, hidden files included. Empty directories count as nothing, as in git.
    ///
    /// # Errors
    /// Something cannot be read, or is neither a file nor a directory, or has a name that cannot be carried.
    pub fn read(directory: &Path) -> Result<Self, TreeError> {
        let present = fs::symlink_metadata(directory).map_err(TreeError::io(directory))?;
        if present.is_symlink() {
            return Err(TreeError::Foreign {
                path: directory.to_owned(),
                why: "it is a symbolic link; put the directory itself there",
            });
        }
        Self::read_through(directory, &mut |path| Digest::of_file(path))
    }

    /// As [`Config::read`], with the files read by the caller.
    pub(crate) fn read_through(directory: &Path, read: &mut Reader<'_>) -> Result<Self, TreeError> {
        let mut config = Self::default();
        config.walk(directory, "", 0, read)?;
        Ok(config)
    }

    fn walk(
        &mut self,
        directory: &Path,
        prefix: &str,
        depth: usize,
        read: &mut Reader<'_>,
    ) -> Result<(), TreeError> {
        for entry in fs::read_dir(directory).map_err(TreeError::io(directory))? {
            let entry = entry.map_err(TreeError::io(directory))?;
            let path = entry.path();
            let foreign = |why| TreeError::Foreign {
                path: path.clone(),
                why,
            };
            let relative = format!("{prefix}{}", carried_name(&entry).map_err(foreign)?);
            let kind = entry.file_type().map_err(TreeError::io(&path))?;
            if kind.is_dir() && depth < DEPTH_MAX {
                self.walk(&path, &format!("{relative}/"), depth + 1, read)?;
            } else if kind.is_file() {
                let digest = read(&path).map_err(TreeError::io(&path))?;
                let mode = entry
                    .metadata()
                    .map_err(TreeError::io(&path))?
                    .permissions()
                    .mode();
                self.files.insert(
                    relative,
                    Mark {
                        digest,
                        executable: mode & 0o100 != 0,
                    },
                );
            } else if kind.is_dir() {
                return Err(foreign("it is nested too deeply"));
            } else {
                return Err(foreign(
                    "it is neither a file nor a directory; put the file itself there",
                ));
            }
        }
        Ok(())
    }
}

/// The name of a thing in a config, or why it cannot be carried.
fn carried_name(entry: &fs::DirEntry) -> Result<String, &'static str> {
    let name = entry
        .file_name()
        .into_string()
        .map_err(|_| "its name is not UTF-8")?;
    if name.starts_with("..") {
        return Err("names that begin with `..` are used for the links of a config on a host");
    }
    if name.contains(char::is_control) {
        return Err("its name has control characters");
    }
    Ok(name)
}
