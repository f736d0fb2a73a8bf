//! What is read of a project lies in the project: no link is followed, so that a project of somebody else cannot have a
//! host get what only the operator can read; and nothing is read that has no end.

use std::fs::{self, Metadata};
use std::path::Path;

use super::{NearError, io_at, is_absent};

/// Largest file that is carried, in bytes. What is larger a pod should fetch by itself.
pub(super) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// A file below `root`, if it is there.
pub(super) fn file(root: &Path, path: &Path) -> Result<Option<Metadata>, NearError> {
    let Some(found) = look(root, path)? else {
        return Ok(None);
    };
    if !found.is_file() {
        return Err(NearError::NoFile {
            path: path.to_owned(),
        });
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(NearError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(Some(found))
}

/// Refuses a directory below `root` that is a link, lies below one, or has one in it: what such a link leads to would be
/// passed over in silence.
pub(super) fn directory(root: &Path, path: &Path) -> Result<(), NearError> {
    if look(root, path)?.is_none_or(|found| !found.is_dir()) {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(io_at(path))? {
        let entry = entry.map_err(io_at(path))?;
        let path = entry.path();
        if entry.file_type().map_err(io_at(&path))?.is_symlink() {
            return Err(NearError::Link { path });
        }
    }
    Ok(())
}

/// What is at a path, whose parts below `root` are no links.
fn look(root: &Path, path: &Path) -> Result<Option<Metadata>, NearError> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let mut at = root.to_owned();
    let mut found = None;
    for part in below.components() {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Err(error) if is_absent(&error) => return Ok(None),
            present => found = Some(present.map_err(io_at(&at))?),
        }
        if found.as_ref().is_some_and(Metadata::is_symlink) {
            return Err(NearError::Link { path: at });
        }
    }
    Ok(found)
}
