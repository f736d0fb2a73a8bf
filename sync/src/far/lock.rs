//! The lock of a host home: held by the kernel as long as its holder lives, with a line that says who it is.
//!
//! The line is for people and may be lost; only the kernel's lock decides. Must not know what it protects.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use hostfiles::HostHome;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::journal::SyncDir;
use super::reach::{self, ReachError};

/// Who holds the lock, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Who, as in `anna@laptop`.
    pub who: String,
    /// The process.
    pub pid: u32,
    /// Since when, as people read it; none if the holder does not know the time.
    pub since: Option<String>,
    /// What for, as in `sync of 42aa8c8`.
    pub why: String,
}

impl Holder {
    /// Whoever finishes or undoes an interrupted sync.
    pub(crate) fn recovering() -> Self {
        Self::nameless("recovery", "finishing or undoing an interrupted sync")
    }

    /// Whoever makes a directory a host home.
    pub(crate) fn preparing() -> Self {
        Self::nameless("init", "preparing the host home")
    }

    fn nameless(who: &str, why: &str) -> Self {
        Self {
            who: who.to_owned(),
            pid: std::process::id(),
            since: None,
            why: why.to_owned(),
        }
    }
}

impl fmt::Display for Holder {
    /// One line, whatever the fields hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.as_deref();
        let since = since.map_or_else(String::new, |since| format!(", since {since}"));
        let line = format!("{} (process {}{since}): {}", self.who, self.pid, self.why);
        f.write_str(&line.replace(char::is_control, " "))
    }
}

/// The lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Someone else has it.
    #[error("{} is locked by {holder}; wait until that is done", home.display())]
    Held {
        /// The host home.
        home: PathBuf,
        /// The line that the holder left.
        holder: String,
    },
    /// The directory of the lock is none of the host home's.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The lock file cannot be used.
    #[error("cannot lock the host home with {}; it must be a plain file of the user who syncs", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// The lock of a host home, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// Opens nothing through a link.
const NO_LINK: i32 = OFlags::NOFOLLOW.bits().cast_signed();

/// The permissions of the file.
const MODE: u32 = 0o600;

/// Most of the holder's line that is read, in bytes.
const LINE_BYTES_MAX: usize = 1024;

impl Lock {
    /// The lock once more, for a process that keeps it when this one ends.
    pub(crate) fn share(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Takes the lock without waiting.
    pub(crate) fn take(home: &HostHome, holder: &Holder) -> Result<Self, LockError> {
        let path = SyncDir::of(home).lock();
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        reach::check_plain(&home.sync_dir())?;
        fs::create_dir_all(home.sync_dir()).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Whoever could read it could lock it.
            .mode(MODE)
            // A link there would have its target written to.
            .custom_flags(NO_LINK)
            .open(&path)
            .map_err(failed)?;
        close_to_others(&file).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    home: home.path().to_owned(),
                    holder: line_of(&file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // On a full disk the line is lost and the lock is not: recovery must work then, too.
        let _ = write_line(&mut file, holder);
        Ok(Self { file })
    }
}

/// An earlier version left it open to all.
fn close_to_others(file: &File) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o7777 == MODE {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(MODE))
}

/// The new line goes over the old one before the rest is cut off, so that a reader finds some line.
fn write_line(file: &mut File, holder: &Holder) -> io::Result<()> {
    let line = format!("{holder}\n");
    file.write_all_at(line.as_bytes(), 0)?;
    file.set_len(line.len() as u64)
}

fn line_of(file: &File) -> String {
    // The first holder ever may not have come to write; a second look costs nothing.
    let line = read_line(file).or_else(|| read_line(file));
    line.unwrap_or_else(|| "someone who left no name".to_owned())
}

/// An unreadable line is no reason to hide that the lock is held.
fn read_line(file: &File) -> Option<String> {
    let mut bytes = vec![0; LINE_BYTES_MAX];
    let length = file.read_at(&mut bytes, 0).ok()?;
    bytes.truncate(length);
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().filter(|line| !line.trim().is_empty())?;
    Some(line.replace(char::is_control, " "))
}
