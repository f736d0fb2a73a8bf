//! Remembers the digests of large files of a host home, so that a sync with nothing to do reads none of them.
//!
//! A file counts as unchanged while size, inode and both times are the same, and only if it was at rest when its
//! digest was taken. The file of the memory may be lost or foreign at any time: then all is read again.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hostfiles::HostHome;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// Files up to this size are read each time: that is as cheap as looking them up, in bytes.
const READ_BYTES_MAX: u64 = 64 * 1024;

/// How long a file must have been unchanged when the memory was written, in nanoseconds: a change in the same
/// tick of the kernel's clock (at most 10 ms) would not show in its times.
const REST_NANOSECONDS_MIN: i128 = 100_000_000;

/// What tells a file from a changed one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(present: &Metadata) -> Self {
        Self {
            size: present.size(),
            inode: present.ino(),
            modified: (present.mtime(), present.mtime_nsec()),
            changed: (present.ctime(), present.ctime_nsec()),
        }
    }

    /// Whether the file was at rest when the memory was written. Times in whole seconds come from a file
    /// system that cannot tell.
    fn was_at_rest(&self, written: (i64, i64)) -> bool {
        let nanoseconds =
            |(seconds, rest): (i64, i64)| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        self.changed.1 != 0
            && nanoseconds(self.changed) + REST_NANOSECONDS_MIN < nanoseconds(written)
    }
}

/// The memory of one host home.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Digests {
    known: BTreeMap<String, (Identity, Digest)>,
    used: BTreeMap<String, (Identity, Digest)>,
}

impl Digests {
    pub(crate) fn read(home: &HostHome) -> Self {
        let path = home.sync_dir().join("digests.json");
        let known = || {
            let memory = fs::metadata(&path).ok()?;
            let written = (memory.mtime(), memory.mtime_nsec());
            let mut known: BTreeMap<String, (Identity, Digest)> =
                serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            known.retain(|_, (identity, _)| identity.was_at_rest(written));
            Some(known)
        };
        Self {
            known: known().unwrap_or_default(),
            used: BTreeMap::new(),
        }
    }

    /// The digest of a file. Links are followed.
    pub(crate) fn digest(&mut self, path: &Path) -> io::Result<Digest> {
        let present = fs::metadata(path)?;
        if present.len() <= READ_BYTES_MAX {
            return Ok(Digest::of(&fs::read(path)?));
        }
        let (name, identity) = (path.to_string_lossy().into_owned(), Identity::of(&present));
        let digest = match self.known.get(&name) {
            Some((known, digest)) if *known == identity => *digest,
            _ => Digest::of(&fs::read(path)?),
        };
        self.used.insert(name, (identity, digest));
        Ok(digest)
    }

    /// Writes down what was used, if it is something new.
    pub(crate) fn write(&self, home: &HostHome) {
        if self.used != self.known
            && let Ok(bytes) = serde_json::to_vec(&self.used)
        {
            let path = home.sync_dir().join("digests.json");
            // Even equal content is written anew: its time says since when the files were at rest. If it
            // cannot be written the next sync is slower, no more.
            let _ = fs::remove_file(&path);
            let _ = hostfiles::replace(&path, &bytes, 0o600);
        }
    }
}
