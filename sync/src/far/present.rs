//! What a host home has, as the same plain data as what is wanted.
//!
//! A thing that is torn, foreign or of the original's layout counts as absent: it will be sent. Must not
//! change anything; `sns cluster diff` reads a host without its lock.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hostfiles::{ConfigChecksum, HostHome, Programs, ReleaseDir, read};
use names::VolumeName;

use super::digests::Digests;
use super::layout;
use crate::{Config, Digest, Release, Tree, TreeError};

/// What is on the host.
///
/// # Errors
/// A directory or file cannot be read.
pub fn present(home: &HostHome) -> Result<Tree, TreeError> {
    present_through(home, &mut Digests::read(home))
}

pub(super) fn present_through(home: &HostHome, digests: &mut Digests) -> Result<Tree, TreeError> {
    let mut tree = Tree {
        hosts_conf: digest_of(digests, &home.hosts_conf())?,
        cluster_ports_conf: digest_of(digests, &home.cluster_ports_conf())?,
        peers_conf: digest_of(digests, &home.peers_conf())?,
        plugins_yaml: digest_of(digests, &home.plugins_yaml())?,
        ..Tree::default()
    };
    for name in names_in(&home.plugins_dir())? {
        let is_component = name.ends_with(".wasm") && !name.starts_with('.');
        if is_component && let Some(digest) = digest_of(digests, &home.plugins_dir().join(&name))? {
            tree.plugins.insert(name, digest);
        }
    }
    for name in names_in(&home.programs_dir())? {
        let path = home.programs_dir().join(&name);
        let is_program = Programs::is_name(&name) && is_executable(&path);
        if is_program && let Some(digest) = digest_of(digests, &path)? {
            tree.programs.insert(name, digest);
        }
    }
    let pods = home.pods_dir();
    for id in home.releases().map_err(TreeError::io(&pods))? {
        let release = read_release(digests, &home.release(&id))?;
        tree.releases.insert(id, release);
    }
    Ok(tree)
}

fn read_release(digests: &mut Digests, directory: &ReleaseDir) -> Result<Release, TreeError> {
    let mut configs = BTreeMap::new();
    for name in names_in(&directory.configs_dir())? {
        let Ok(name) = name.parse::<VolumeName>() else {
            continue;
        };
        if let Some(config) = whole_config(digests, directory, &name) {
            configs.insert(name, config);
        }
    }
    Ok(Release {
        state: read(&directory.state()).ok(),
        pod: digest_of(digests, &directory.pod())?.filter(|_| is_executable(&directory.pod())),
        portmappings: digest_of(digests, &directory.portmappings())?,
        routes: digest_of(digests, &directory.ingress())?,
        routes_inactive: digest_of(digests, &directory.ingress_inactive())?,
        configs,
    })
}

/// A config that lies as it should and whose checksum says so.
fn whole_config(
    digests: &mut Digests,
    directory: &ReleaseDir,
    name: &VolumeName,
) -> Option<Config> {
    let path = directory.config(name);
    let config =
        Config::read_through(&path.join(layout::DATA), &mut |path| digests.digest(path)).ok()?;
    let checksum = read::<ConfigChecksum>(&directory.config_checksum(name)).ok()?;
    (checksum == config.checksum() && layout::is_linked(&path, &config)).then_some(config)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|present| present.permissions().mode() & 0o111 == 0o111)
}

fn digest_of(digests: &mut Digests, path: &Path) -> Result<Option<Digest>, TreeError> {
    match digests.digest(path) {
        Ok(digest) => Ok(Some(digest)),
        Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::IsADirectory => Ok(None),
        Err(error) => Err(TreeError::io(path)(error)),
    }
}

fn names_in(directory: &Path) -> Result<Vec<String>, TreeError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        listed => listed.map_err(TreeError::io(directory))?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    names
        .collect::<io::Result<_>>()
        .map_err(TreeError::io(directory))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
