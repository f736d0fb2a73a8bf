//! How a config lies on a host, so that a unit that mounts it sees all old or all new files.
//!
//! `config/NAME/` is a real directory whose inode stays; its entries are links through the one link `..data`
//! to a directory that is named by the digest of its files. Replacing `..data` replaces all of them at once.
//! Must not know what is in the files, nor how the links are made.

use std::fs;
use std::path::Path;

use crate::Config;

/// The one link that all entries go through.
pub(crate) const DATA: &str = "..data";

/// What an entry of a config directory links to.
pub(crate) fn entry_target(name: &str) -> String {
    format!("{DATA}/{name}")
}

/// A name for the directory of new files that nothing in the config directory has. The plain one is taken
/// only if somebody has tampered with files of the same digest.
pub(crate) fn data_name(directory: &Path, config: &Config) -> String {
    let name = format!("{DATA}-{}", config.digest().short());
    let taken = |name: &String| directory.join(name).symlink_metadata().is_ok();
    let numbered = (1_u32..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .find(|name| !taken(name))
        .unwrap_or(name)
}

/// The names in a config directory that mean nothing beside a new content: former entries, former
/// directories of files, whatever else was put there. Each with whether it is a real directory.
pub(crate) fn leftovers(directory: &Path, config: &Config) -> Vec<(String, bool)> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<(String, bool)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            Some((
                entry.file_name().into_string().ok()?,
                entry.file_type().ok()?.is_dir(),
            ))
        })
        .filter(|(name, _)| name != DATA && !config.top().any(|top| top == name))
        .collect();
    names.sort();
    names
}

/// Whether every entry that the config should have is the link that it should be.
pub(crate) fn is_linked(directory: &Path, config: &Config) -> bool {
    let links = |name: &str| {
        fs::read_link(directory.join(name)).is_ok_and(|to| to == Path::new(&entry_target(name)))
    };
    fs::read_link(directory.join(DATA)).is_ok() && config.top().all(links)
}
