//! Everything that the far end does to the file system, one small act each, behind one gate.
//!
//! The gate exists for the tests: it can stop the world before any act, or let any act fail. Must not know
//! what the acts are for.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What is done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Make a directory, with those above it.
    MakeDirectory,
    /// Write a new file.
    Write,
    /// Make a symbolic link.
    Link,
    /// Move it into its place.
    Rename,
    /// Remove a file or link.
    Remove,
    /// Remove a directory with all in it.
    RemoveTree,
    /// Bring a file or directory to disk.
    Sync,
    /// Bring all of the file system to disk.
    SyncAll,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MakeDirectory => "make the directory",
            Self::Write => "write",
            Self::Link => "make the link",
            Self::Rename => "put into its place",
            Self::Remove => "remove",
            Self::RemoveTree => "remove the directory",
            Self::Sync | Self::SyncAll => "bring to disk",
        })
    }
}

/// The file system did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot {effect} {}", path.display())]
pub struct EffectError {
    /// What was asked.
    pub effect: Effect,
    /// Of which path.
    pub path: PathBuf,
    /// What the file system said.
    pub source: io::Error,
}

/// Asked before every effect; an error becomes that effect's.
pub trait Gate: Send {
    /// Lets the effect happen, or says why not.
    ///
    /// # Errors
    /// The effect does not happen.
    fn pass(&mut self, effect: Effect, path: &Path) -> io::Result<()>;
}

/// Lets everything happen.
pub(crate) struct Unhindered;

impl Gate for Unhindered {
    fn pass(&mut self, _: Effect, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// The hands of the far end.
pub(crate) struct Effects(Box<dyn Gate>);

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Effects")
    }
}

type Done = Result<(), EffectError>;

impl Effects {
    pub(crate) fn new(gate: Box<dyn Gate>) -> Self {
        Self(gate)
    }

    fn act(&mut self, effect: Effect, path: &Path, act: impl FnOnce() -> io::Result<()>) -> Done {
        let done = self.0.pass(effect, path).and_then(|()| act());
        done.map_err(|source| EffectError {
            effect,
            path: path.to_owned(),
            source,
        })
    }

    pub(crate) fn make_directory(&mut self, path: &Path) -> Done {
        self.act(Effect::MakeDirectory, path, || fs::create_dir_all(path))
    }

    /// Writes a file that does not exist yet. It is not brought to disk.
    pub(crate) fn write(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Done {
        self.act(Effect::Write, path, || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(path)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(bytes)
        })
    }

    pub(crate) fn link(&mut self, path: &Path, target: &str) -> Done {
        self.act(Effect::Link, path, || {
            std::os::unix::fs::symlink(target, path)
        })
    }

    /// Gives a file or link a second name.
    pub(crate) fn hard_link(&mut self, path: &Path, name: &Path) -> Done {
        self.act(Effect::Link, name, || fs::hard_link(path, name))
    }

    /// Writes a new file with the content of another. It is not brought to disk.
    pub(crate) fn copy(&mut self, from: &Path, to: &Path, mode: u32) -> Done {
        self.act(Effect::Write, to, || {
            fs::copy(from, to)?;
            fs::set_permissions(to, Permissions::from_mode(mode))
        })
    }

    /// Moves what was brought to disk before into its place.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> Done {
        self.act(Effect::Rename, to, || {
            rustix::fs::rename(from, to).map_err(io::Error::from)
        })
    }

    /// Removes a file or link; it may be gone already.
    pub(crate) fn remove(&mut self, path: &Path) -> Done {
        self.act(Effect::Remove, path, || gone(fs::remove_file(path)))
    }

    /// Removes a directory, or what somebody has put in its place; it may be gone already.
    pub(crate) fn remove_tree(&mut self, path: &Path) -> Done {
        self.act(Effect::RemoveTree, path, || {
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    gone(fs::remove_file(path))
                }
                removed => gone(removed),
            }
        })
    }

    pub(crate) fn sync(&mut self, path: &Path) -> Done {
        self.act(Effect::Sync, path, || File::open(path)?.sync_all())
    }

    /// Brings the whole file system that `path` lies on to disk: one wait, however many files there are.
    pub(crate) fn sync_all(&mut self, path: &Path) -> Done {
        self.act(Effect::SyncAll, path, || {
            Ok(rustix::fs::syncfs(File::open(path)?)?)
        })
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
