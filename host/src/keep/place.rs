//! Where a pod lies that is driven alone: on a host, or by itself.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use hostfiles::{HostHome, ReleaseDir};
use names::ReleaseId;

use rustix::process::geteuid;

use crate::owner;
use crate::pod::PodFile;

/// One release and what is around it.
pub(crate) struct Place {
    pub(crate) id: ReleaseId,
    pub(crate) release: ReleaseDir,
    /// The host home that it belongs to; none for a pod that lies by itself.
    pub(crate) home: Option<HostHome>,
    /// The user that its directory belongs to.
    pub(crate) owner: u32,
}

impl Place {
    /// The place of the pod in this file, which must belong to the user of this process.
    pub(crate) fn of(file: &Path) -> Result<Self> {
        Self::of_user(file, geteuid().as_raw())
    }

    fn of_user(file: &Path, me: u32) -> Result<Self> {
        let file = fs::canonicalize(file)
            .with_context(|| format!("there is no pod at {}", file.display()))?;
        let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
        // Before anything is read that somebody else may have laid there.
        owner::check(&file, None, me)?;
        let id = PodFile::open(file.clone())?.pod().release();
        let home = home_of(&directory, &id);
        if let Some(home) = &home {
            owner::check(&file, Some(home.path()), me)?;
        }
        Ok(Self {
            home,
            release: ReleaseDir::new(directory),
            id,
            owner: me,
        })
    }

    /// False when the release was taken away: then it should not run any more.
    pub(crate) fn is_there(&self) -> bool {
        self.release.pod().exists()
    }

    /// True while a sync is in the middle of its changes.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.home
            .as_ref()
            .is_some_and(simplenetes_sync::journal_open)
    }
}

/// The home above `pods/POD/release/VERSION`, if there is one and it has this release there.
fn home_of(directory: &Path, id: &ReleaseId) -> Option<HostHome> {
    let home = HostHome::new(directory.ancestors().nth(4)?);
    let is_there = home.release(id).path() == directory;
    (is_there && home.cluster_id().exists()).then_some(home)
}
