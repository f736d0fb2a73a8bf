//! The lock of a host home: held by the kernel as long as its holder lives, with a line that says who it is.
//!
//! The line is for people and may be lost; only the kernel's lock decides. Must not know what it protects.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use hostfiles::HostHome;

use super::journal::SyncDir;

/// Who holds the lock, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who, as in `anna@laptop`.
    pub who: String,
    /// The process.
    pub pid: u32,
    /// Since when, in Unix seconds; none if the holder does not know the time.
    pub since: Option<u64>,
    /// What for, as in `sync of 42aa8c8`.
    pub why: String,
}

impl Holder {
    /// Whoever finishes or undoes an interrupted sync.
    pub(crate) fn recovering() -> Self {
        let why = "finishing or undoing an interrupted sync".to_owned();
        Self {
            who: "recovery".to_owned(),
            pid: std::process::id(),
            since: None,
            why,
        }
    }
}

impl fmt::Display for Holder {
    /// One line, whatever the fields hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self
            .since
            .map(|seconds| format!(", since {seconds} Unix seconds"))
            .unwrap_or_default();
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
    /// The lock file cannot be used.
    #[error("cannot lock the host home with {}; it must belong to the user who syncs", path.display())]
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
    _file: File,
}

/// Most of the holder's line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 1024;

impl Lock {
    /// Takes the lock without waiting.
    pub(crate) fn take(home: &HostHome, holder: &Holder) -> Result<Self, LockError> {
        let path = SyncDir::of(home).lock();
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(home.sync_dir()).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    home: home.path().to_owned(),
                    holder: line_of(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // On a full disk the line is lost and the lock is not: recovery must work then, too.
        let _ = write_line(&mut file, holder);
        Ok(Self { _file: file })
    }
}

fn write_line(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{holder}")
}

fn line_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // An unreadable line is no reason to hide that the lock is held.
    let _ = file.take(LINE_BYTES_MAX).read_to_end(&mut bytes);
    match String::from_utf8_lossy(&bytes).lines().next() {
        Some(line) if !line.trim().is_empty() => line.replace(char::is_control, " "),
        _ => "someone who left no name".to_owned(),
    }
}
