//! The journal of one sync: what is still to be done, in operations that may run twice.
//!
//! It appears by one rename when everything it names lies on disk, and goes when all of it is done. From the
//! one moment to the other the host home is between two states and nobody else may touch it. Must not know
//! why the operations are what they are.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use hostfiles::HostHome;
use serde::{Deserialize, Serialize};

use super::effects::{EffectError, Effects};

/// Where a sync keeps its things in a host home.
pub(crate) struct SyncDir(PathBuf);

impl SyncDir {
    pub(crate) fn of(home: &HostHome) -> Self {
        Self(home.sync_dir())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(crate) fn stage(&self) -> PathBuf {
        self.0.join("stage")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal.json")
    }

    /// What a sync that waits to be confirmed replaced.
    pub(crate) fn former(&self) -> PathBuf {
        self.0.join("former")
    }

    /// The journal that puts it back.
    pub(crate) fn undo(&self) -> PathBuf {
        self.former().join("undo")
    }

    /// There while a sync waits to be confirmed.
    pub(crate) fn unconfirmed(&self) -> PathBuf {
        self.0.join("unconfirmed.json")
    }

    /// There when the host went back from the last sync.
    pub(crate) fn reverted(&self) -> PathBuf {
        self.0.join("reverted.json")
    }

    /// What the last sync of everything left on the host.
    pub(crate) fn synced(&self) -> PathBuf {
        self.0.join("synced.json")
    }

    /// What is being removed.
    pub(crate) fn trash(&self) -> PathBuf {
        self.0.join("trash")
    }

    /// Contents that came and are not in their place yet.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.0.join("incoming")
    }
}

/// One act on the host home. All paths are relative to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operation {
    /// Make a directory, with those above it.
    MakeDirectory { path: String },
    /// Move what was staged into its place. Done already if it is not staged any more.
    Place { from: String, to: String },
    /// Remove a file or link.
    Remove { path: String },
    /// Remove a directory with all in it.
    RemoveTree { path: String },
    /// Move what is there out of the way. Done already if something lies where it goes.
    SetAside { path: String, to: String },
}

/// The version of the journal that this program writes; it reads those before as well. The second has `set-aside`.
const FORMAT: u32 = 2;

/// The journal of one sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    format: u32,
    operations: Vec<Operation>,
}

/// A journal cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no.
    #[error("cannot read the journal {}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// It is no journal.
    #[error("{} is no journal of a sync: move it away together with the directory `stage` beside it, then sync, which puts right what was done in part", path.display())]
    Foreign {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It was written by another version, or names something outside the host home.
    #[error("{} cannot be followed: {why}", path.display())]
    Refused {
        /// The journal.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Journal {
    pub(crate) fn new(operations: Vec<Operation>) -> Self {
        Self {
            format: FORMAT,
            operations,
        }
    }

    /// The text of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Strings in lists always have a JSON.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// The journal that is open, if one is.
    pub(crate) fn read(home: &HostHome) -> Result<Option<Self>, JournalError> {
        let path = SyncDir::of(home).journal();
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(JournalError::Io { path, source }),
            Ok(bytes) => bytes,
        };
        let journal: Self = match serde_json::from_slice(&bytes) {
            Err(source) => return Err(JournalError::Foreign { path, source }),
            Ok(journal) => journal,
        };
        match journal.refusal() {
            Some(why) => Err(JournalError::Refused { path, why }),
            None => Ok(Some(journal)),
        }
    }

    fn refusal(&self) -> Option<String> {
        if !(1..=FORMAT).contains(&self.format) {
            let written = self.format;
            return Some(format!(
                "it has format {written}, this program knows up to {FORMAT}: use the version that wrote it"
            ));
        }
        let foreign = self
            .operations
            .iter()
            .flat_map(Operation::paths)
            .find(|path| leads_out(path));
        foreign.map(|path| format!("`{path}` leads out of the host home"))
    }

    /// Does all that is to be done, and closes the journal. What was done before is done again harmlessly.
    pub(crate) fn run(&self, home: &HostHome, effects: &mut Effects) -> Result<(), EffectError> {
        let directory = SyncDir::of(home);
        for operation in &self.operations {
            operation.run(home.path(), effects)?;
        }
        effects.sync_all(directory.path())?;
        effects.remove(&directory.journal())?;
        // Were the journal to come back after a power cut, it would undo what a later sync did.
        effects.sync(directory.path())?;
        // All is done; a stage that cannot be removed now is removed by the next sync.
        let _ = effects.remove_tree(&directory.stage());
        Ok(())
    }
}

impl Operation {
    fn paths(&self) -> Vec<&str> {
        match self {
            Self::MakeDirectory { path } | Self::Remove { path } | Self::RemoveTree { path } => {
                vec![path]
            }
            Self::Place { from, to } | Self::SetAside { path: from, to } => vec![from, to],
        }
    }

    fn run(&self, home: &Path, effects: &mut Effects) -> Result<(), EffectError> {
        match self {
            Self::MakeDirectory { path } => effects.make_directory(&home.join(path)),
            Self::Place { from, to } => place(&home.join(from), &home.join(to), effects),
            Self::Remove { path } => effects.remove(&home.join(path)),
            Self::RemoveTree { path } => effects.remove_tree(&home.join(path)),
            Self::SetAside { path, to } => set_aside(&home.join(path), &home.join(to), effects),
        }
    }
}

/// What lies there already is what was set aside before an interruption: by now something new may be in its place.
fn set_aside(path: &Path, to: &Path, effects: &mut Effects) -> Result<(), EffectError> {
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    if is_there(to) || !is_there(path) {
        return Ok(());
    }
    effects.rename(path, to)
}

/// A rename alone cannot put a file or link in the place of a directory, or the other way round.
fn place(from: &Path, to: &Path, effects: &mut Effects) -> Result<(), EffectError> {
    let Ok(staged) = fs::symlink_metadata(from) else {
        return Ok(());
    };
    if let Ok(present) = fs::symlink_metadata(to) {
        if present.is_dir() {
            effects.remove_tree(to)?;
        } else if staged.is_dir() {
            effects.remove(to)?;
        }
    }
    effects.rename(from, to)
}

/// A path below a host home, as operations name it.
pub(super) fn relative(home: &HostHome, path: &Path) -> String {
    path.strip_prefix(home.path())
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

fn leads_out(path: &str) -> bool {
    path.is_empty()
        || !Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_leads_out_of_the_host_home_is_refused() {
        for (path, refused) in [
            ("pods/web", false),
            ("", true),
            ("/etc", true),
            ("pods/../..", true),
            ("..", true),
        ] {
            let journal = Journal::new(vec![Operation::RemoveTree {
                path: path.to_owned(),
            }]);
            assert_eq!(journal.refusal().is_some(), refused, "`{path}`");
        }
        let other = Journal {
            format: 3,
            operations: Vec::new(),
        };
        assert!(other.refusal().is_some_and(|why| why.contains("format 3")));
        let before = Journal {
            format: 1,
            operations: Vec::new(),
        };
        assert_eq!(before.refusal(), None);
    }
}
