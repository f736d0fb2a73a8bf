//! The one way in which a file that others read is changed: beside, synced, renamed, and only if different.
//!
//! Readers never see half a file, watchers never see a change that is none, and a full disk leaves the
//! old file as it was. Must not know what is in the file.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How the name of a file ends that is not whole yet.
const SUFFIX_BESIDE: &str = ".tmp";

/// What was being done to the file when it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplaceStep {
    /// Make the temporary file beside it.
    Create,
    /// Write the new content.
    Write,
    /// Set the permissions.
    Chmod,
    /// Bring the new content to the disk.
    Sync,
    /// Move the temporary file into its place.
    Rename,
    /// Bring the directory to the disk. The file has changed already.
    SyncDirectory,
}

impl fmt::Display for ReplaceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "make a new file beside",
            Self::Write => "write the new content of",
            Self::Chmod => "set the permissions of",
            Self::Sync => "bring to disk the new content of",
            Self::Rename => "move the new file into the place of",
            Self::SyncDirectory => "bring to disk the directory of",
        })
    }
}

/// A file could not be replaced.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {}", path.display())]
pub struct ReplaceError {
    /// The file that should have been replaced.
    pub path: PathBuf,
    /// What went wrong.
    pub step: ReplaceStep,
    /// What the file system said.
    pub source: io::Error,
}

/// Replaces the file at `path` by `bytes` with the permissions `mode` (as in `0o644`), atomically, and
/// only if content or permissions differ. A symbolic link at `path` is replaced, not followed.
/// Gives true if something changed.
///
/// # Errors
/// Names the file and the step. Up to and including [`ReplaceStep::Rename`] the old file is untouched
/// and nothing is left beside it.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<bool, ReplaceError> {
    if is_already(path, bytes, mode) {
        return Ok(false);
    }
    let failed = |step| {
        move |source| ReplaceError {
            path: path.to_owned(),
            step,
            source,
        }
    };
    let directory = directory_of(path);
    let mut beside = tempfile::Builder::new()
        .prefix(&prefix_beside(path))
        .suffix(SUFFIX_BESIDE)
        .tempfile_in(directory)
        .map_err(failed(ReplaceStep::Create))?;
    let file = beside.as_file_mut();
    file.write_all(bytes).map_err(failed(ReplaceStep::Write))?;
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(failed(ReplaceStep::Chmod))?;
    file.sync_all().map_err(failed(ReplaceStep::Sync))?;
    beside
        .persist(path)
        .map_err(|error| failed(ReplaceStep::Rename)(error.error))?;
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(failed(ReplaceStep::SyncDirectory))?;
    Ok(true)
}

/// Removes what replacements of the file at `path` have left whose program was killed meanwhile. It is for
/// the only program that replaces this file: a replacement that is under way would fail.
///
/// # Errors
/// The directory cannot be read or changed. One that is not there has nothing.
pub fn remove_leftovers(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory_of(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let prefix = prefix_beside(path);
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(SUFFIX_BESIDE) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// How the name of a file begins that takes the place of the one at `path` when it is whole. It is hidden,
/// because every reader of directories skips names that begin with a dot.
fn prefix_beside(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.")
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file that cannot be compared counts as different: the replacement then says what is wrong.
fn is_already(path: &Path, bytes: &[u8], mode: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|present| {
        present.is_file()
            && present.len() == bytes.len() as u64
            && present.permissions().mode() & 0o7777 == mode
    }) && fs::read(path).is_ok_and(|present| present == bytes)
}
