//! The way back from a sync that nobody confirms: what it replaces and takes away is kept until then.
//!
//! Before the journal opens, files that will be replaced get a second name below `.sync/former`; directories that
//! will go are set aside there by the journal itself. Beside them lies the journal that puts all of it back. A release
//! that arrived is not taken away again, because its pod may run by then: it becomes one that is `removed`, as with
//! every sync that lacks it. Must not know why somebody goes back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hostfiles::{Format, HostHome};
use names::PodState;

use super::effects::{EffectError, Effects};
use super::journal::{Journal, Operation, SyncDir};

/// Keeps what the operations of a sync will replace, and gives them with the acts that are needed for that. `arrivals`
/// has the place of every release that arrives, and that of its wanted state.
pub(super) fn keep(
    home: &HostHome,
    effects: &mut Effects,
    operations: Vec<Operation>,
    arrivals: &BTreeMap<String, String>,
) -> Result<Vec<Operation>, EffectError> {
    let directory = SyncDir::of(home);
    effects.remove_tree(&directory.former())?;
    effects.make_directory(&directory.former())?;
    let mut former = Former {
        home,
        effects,
        kept_count: 0,
        forward: Vec::new(),
        back: Vec::new(),
    };
    for operation in operations {
        former.take(operation, arrivals)?;
    }
    let Former {
        forward, mut back, ..
    } = former;
    back.reverse();
    let relative = |path: &Path| super::journal::relative(home, path);
    back.extend([
        Operation::Remove {
            path: relative(&directory.unconfirmed()),
        },
        Operation::RemoveTree {
            path: relative(&directory.former()),
        },
    ]);
    let undo = Journal::new(back).to_bytes();
    effects.write(&directory.undo(), &undo, 0o600)?;
    Ok(forward)
}

struct Former<'a> {
    home: &'a HostHome,
    effects: &'a mut Effects,
    kept_count: usize,
    /// What the journal of the sync does.
    forward: Vec<Operation>,
    /// What undoes it, last first.
    back: Vec<Operation>,
}

/// What is at a place now.
enum Present {
    Nothing,
    Directory,
    /// A file or link.
    Entry,
}

impl Former<'_> {
    fn take(
        &mut self,
        operation: Operation,
        arrivals: &BTreeMap<String, String>,
    ) -> Result<(), EffectError> {
        match &operation {
            Operation::Place { from, to } => match (self.at(to), arrivals.get(to)) {
                (Present::Nothing, Some(state)) => self.becomes_removed(state)?,
                (Present::Nothing, None) => self.goes(from, to),
                (Present::Directory, _) => self.set_aside(to),
                (Present::Entry, _) => self.second_name(to)?,
            },
            Operation::Remove { path } if is_own(path) => {}
            Operation::Remove { path } | Operation::RemoveTree { path } => match self.at(path) {
                Present::Nothing => {}
                Present::Entry => self.second_name(path)?,
                Present::Directory => {
                    // Setting it aside is all the removing there is.
                    let path = path.clone();
                    self.set_aside(&path);
                    return Ok(());
                }
            },
            Operation::MakeDirectory { .. } | Operation::SetAside { .. } => {}
        }
        self.forward.push(operation);
        Ok(())
    }

    fn at(&self, path: &str) -> Present {
        match fs::symlink_metadata(self.home.path().join(path)) {
            Ok(present) if present.is_dir() => Present::Directory,
            Ok(_) => Present::Entry,
            Err(_) => Present::Nothing,
        }
    }

    /// Nothing was there, so what comes goes again.
    fn goes(&mut self, staged: &str, path: &str) {
        let path = path.to_owned();
        self.back.push(match self.at(staged) {
            Present::Directory => Operation::RemoveTree { path },
            Present::Nothing | Present::Entry => Operation::Remove { path },
        });
    }

    fn becomes_removed(&mut self, state: &str) -> Result<(), EffectError> {
        let from = self.next();
        let text = PodState::Removed.to_text();
        let path = self.home.path().join(&from);
        self.effects.write(&path, text.as_bytes(), 0o644)?;
        let to = state.to_owned();
        self.back.push(Operation::Place { from, to });
        Ok(())
    }

    fn set_aside(&mut self, path: &str) {
        let kept = self.next();
        self.forward.push(Operation::SetAside {
            path: path.to_owned(),
            to: kept.clone(),
        });
        self.back.push(Operation::Place {
            from: kept,
            to: path.to_owned(),
        });
    }

    fn second_name(&mut self, path: &str) -> Result<(), EffectError> {
        let kept = self.next();
        let home = self.home.path();
        self.effects
            .hard_link(&home.join(path), &home.join(&kept))?;
        self.back.push(Operation::Place {
            from: kept,
            to: path.to_owned(),
        });
        Ok(())
    }

    /// The next free place below `.sync/former`.
    fn next(&mut self) -> String {
        self.kept_count += 1;
        let path = SyncDir::of(self.home)
            .former()
            .join(self.kept_count.to_string());
        super::journal::relative(self.home, &path)
    }
}

/// What a sync keeps for itself needs no way back.
fn is_own(path: &str) -> bool {
    Path::new(path).starts_with(".sync/stage")
}
