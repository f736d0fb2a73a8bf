//! A sync that waits to be confirmed: what is written down about it, going back from it, and ending the wait.
//!
//! `unconfirmed.json` comes with the journal of the sync and goes when somebody has confirmed it; while it is there
//! and nobody holds the lock, whoever comes first goes back. Must not know who waits, nor how long.

use std::fs;

use hostfiles::HostHome;
use serde::{Deserialize, Serialize};

use super::effects::{EffectError, Effects};
use super::journal::{Journal, SyncDir};
use super::{FarError, is_absent};
use crate::wire::{Confirmation, Reverted};

/// What `unconfirmed.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unconfirmed {
    /// The commit that was applied; none for a sync of a part.
    pub(crate) commit: Option<String>,
    /// What it waits for.
    pub(crate) confirmation: Confirmation,
}

impl Unconfirmed {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Plain data always has a JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The one of this host, if a sync waits there.
    pub(crate) fn read(home: &HostHome) -> Option<Self> {
        serde_json::from_slice(&fs::read(SyncDir::of(home).unconfirmed()).ok()?).ok()
    }
}

/// True while a sync waits to be confirmed.
pub(crate) fn is_unconfirmed(home: &HostHome) -> bool {
    !is_absent(&SyncDir::of(home).unconfirmed())
}

/// That the host went back by itself, until the next sync that stays.
pub(crate) fn reverted(home: &HostHome) -> Option<Reverted> {
    serde_json::from_slice(&fs::read(SyncDir::of(home).reverted()).ok()?).ok()
}

/// Puts back what was there before the sync that waits. To be called with the lock.
pub(super) fn revert(home: &HostHome, effects: &mut Effects, why: &str) -> Result<(), FarError> {
    let directory = SyncDir::of(home);
    let commit = Unconfirmed::read(home).and_then(|unconfirmed| unconfirmed.commit);
    let reverted = Reverted {
        commit: commit.unwrap_or_else(|| "a part of a commit".to_owned()),
        why: why.to_owned(),
    };
    let bytes = serde_json::to_vec(&reverted).unwrap_or_default();
    hostfiles::replace(&directory.reverted(), &bytes, 0o600)?;
    if is_absent(&directory.undo()) {
        // Nobody can say what was there before.
        return end(home, effects).map_err(FarError::Unfinished);
    }
    effects
        .rename(&directory.undo(), &directory.journal())
        .and_then(|()| effects.sync(directory.path()))
        .map_err(FarError::Unfinished)?;
    match Journal::read(home)? {
        Some(journal) => journal.run(home, effects).map_err(FarError::Unfinished),
        None => Ok(()),
    }
}

/// What the sync brought stays. To be called with the lock.
pub(super) fn stay(home: &HostHome, effects: &mut Effects) -> Result<(), EffectError> {
    effects.remove(&SyncDir::of(home).reverted())?;
    end(home, effects)
}

fn end(home: &HostHome, effects: &mut Effects) -> Result<(), EffectError> {
    let directory = SyncDir::of(home);
    effects.remove(&directory.unconfirmed())?;
    effects.sync(directory.path())?;
    // What cannot be removed now is removed by the next sync.
    let _ = effects.remove_tree(&directory.former());
    Ok(())
}
