//! Where a pod lies that is driven alone: on a host, or by itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context as _, Result};
use hostfiles::{HostHome, ReleaseDir};
use names::ReleaseId;

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
    pub(crate) fn of(file: &Path) -> Result<Self> {
        let file = fs::canonicalize(file)
            .with_context(|| format!("there is no pod at {}", file.display()))?;
        let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
        let owner = fs::metadata(&directory)?.uid();
        let pod = PodFile::open(file)?;
        let id = pod.pod().release();
        Ok(Self {
            home: home_of(&directory, &id),
            release: ReleaseDir::new(directory),
            id,
            owner,
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
