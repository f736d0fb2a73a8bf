//! Garbage: releases that were removed and are not kept for a way back. Their volumes are no garbage.
//!
//! A release counts as removed when the project says so *and* its pod has gone. Must not know pod kinds: images and the
//! like were collected by the daemon when the pod went.

use std::collections::BTreeMap;

use hostfiles::{HostHome, PodPhase, PodStatus, read_if_present};
use names::{PodName, PodState, ReleaseId};

use super::journal::SyncDir;
use super::{Far, FarError};

/// Those that go: of each pod all removed ones but the newest `keep`.
pub(super) fn garbage(removed: &[ReleaseId], keep: usize) -> Vec<ReleaseId> {
    let mut by_pod: BTreeMap<&PodName, Vec<&ReleaseId>> = BTreeMap::new();
    for release in removed {
        by_pod.entry(&release.pod).or_default().push(release);
    }
    let mut garbage = Vec::new();
    for releases in by_pod.values_mut() {
        releases.sort_by(|one, other| one.version.cmp(&other.version));
        let goes = releases.len().saturating_sub(keep);
        garbage.extend(releases.iter().take(goes).map(|release| (*release).clone()));
    }
    garbage
}

/// The releases of a host that were removed to the end.
fn removed(home: &HostHome) -> Result<Vec<ReleaseId>, FarError> {
    let releases = home.releases().map_err(|source| FarError::Releases {
        path: home.pods_dir(),
        source,
    })?;
    let is_removed = |id: &ReleaseId| {
        let directory = home.release(id);
        let wanted = read_if_present::<PodState>(&directory.state());
        let status = read_if_present::<PodStatus>(&directory.status());
        // What cannot be read is left alone.
        let is_gone = match status {
            Ok(None) => true,
            Ok(Some(status)) => status.status == PodPhase::Removed,
            Err(_) => false,
        };
        matches!(wanted, Ok(Some(PodState::Removed))) && is_gone
    };
    Ok(releases.into_iter().filter(is_removed).collect())
}

impl Far {
    /// Removes the directories of releases that are garbage, logs included; or only says which they are.
    ///
    /// # Errors
    /// The releases cannot be listed or removed. Each directory is there whole or not at all.
    pub fn collect(&mut self, keep: usize, dry_run: bool) -> Result<Vec<ReleaseId>, FarError> {
        let home = self.home.clone();
        let garbage = garbage(&removed(&home)?, keep);
        if dry_run {
            return Ok(garbage);
        }
        let trash = SyncDir::of(&home).trash();
        for release in &garbage {
            let from = home.release(release);
            self.effects
                .remove_tree(&trash)
                .and_then(|()| self.effects.rename(from.path(), &trash))
                .and_then(|()| self.effects.remove_tree(&trash))
                .map_err(FarError::Unchanged)?;
        }
        Ok(garbage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_pod_stay() {
        let ids = |words: &str| -> Vec<ReleaseId> {
            words.split(' ').map(|id| id.parse().unwrap()).collect()
        };
        let removed = ids("web:1.0.0 web:1.10.0 web:1.9.0 api:1.0.0 web:1.10.0-rc1");
        assert_eq!(garbage(&removed, 2), ids("web:1.0.0 web:1.9.0"));
        assert_eq!(garbage(&removed, 5), Vec::new());
        assert_eq!(garbage(&removed, 0).len(), 5);
    }
}
