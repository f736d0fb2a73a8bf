//! Opening a host home: it must be one, belong to the user who opens it, and have no other daemon.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostfiles::{HostHome, read_if_present};
use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

use crate::lock;

/// What the daemon of a home keeps locked for as long as it runs.
pub(crate) const LOCK: &str = ".daemon.lock";

/// Why a host home cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is nothing.
    #[error("there is no host home at {}: `sns host init` makes one, or check the path", .0.display())]
    Missing(PathBuf, #[source] io::Error),
    /// Something that every host home has is not there.
    #[error("{} is not a host home: it has no {what}; `sns host init` makes one", .path.display())]
    NotAHome {
        /// The path that was given.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The cluster id is damaged.
    #[error("cannot use the host home {}", .0.display())]
    ClusterId(PathBuf, #[source] Box<hostfiles::ReadError>),
    /// It belongs to another user.
    #[error("the host home {} belongs to user {owner}, and this is user {me}: run the daemon as its owner", .path.display())]
    Foreign {
        /// The path that was given.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs the daemon.
        me: u32,
    },
    /// Another daemon serves it.
    #[error("another simplenetesd serves {}: stop that one first", .0.display())]
    Served(PathBuf),
    /// The lock cannot be taken.
    #[error("cannot lock {}", .0.display())]
    Lock(PathBuf, #[source] io::Error),
}

/// A host home that is served by this process alone, for as long as this value lives.
#[derive(Debug)]
pub struct Home {
    /// Its files.
    pub files: HostHome,
    /// The user that it belongs to.
    pub owner: u32,
    _lock: File,
}

impl Home {
    /// Checks and locks the home.
    ///
    /// # Errors
    /// It cannot be served; the error says why and what to do.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let files = check(path)?;
        let path = files.path().to_owned();
        let meta = fs::metadata(&path).map_err(|error| HomeError::Missing(path.clone(), error))?;
        let me = geteuid().as_raw();
        if meta.uid() != me {
            return Err(HomeError::Foreign {
                path,
                owner: meta.uid(),
                me,
            });
        }
        let lock_path = path.join(LOCK);
        let lock =
            lock::open(&lock_path).map_err(|error| HomeError::Lock(lock_path.clone(), error))?;
        match take(&lock) {
            Ok(()) => Ok(Self {
                files,
                owner: meta.uid(),
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(HomeError::Served(path)),
            Err(error) => Err(HomeError::Lock(lock_path, error.into())),
        }
    }
}

/// The host home at this path, without any link.
///
/// # Errors
/// There is none.
pub fn check(path: &Path) -> Result<HostHome, HomeError> {
    let path =
        fs::canonicalize(path).map_err(|error| HomeError::Missing(path.to_owned(), error))?;
    let files = HostHome::new(&path);
    let not_a_home = |what| HomeError::NotAHome {
        path: path.clone(),
        what,
    };
    if !files.pods_dir().is_dir() {
        return Err(not_a_home("directory `pods`"));
    }
    read_if_present::<hostfiles::ClusterId>(&files.cluster_id())
        .map_err(|error| HomeError::ClusterId(path.clone(), Box::new(error)))?
        .ok_or_else(|| not_a_home("file `cluster-id.txt`"))?;
    Ok(files)
}

/// How often the lock is asked for, and how long lies between: `sns ps` holds it for an instant to see
/// whether a daemon does.
const TRIES: u32 = 10;
const BETWEEN: Duration = Duration::from_millis(20);

fn take(lock: &File) -> rustix::io::Result<()> {
    for _ in 1..TRIES {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(BETWEEN),
            done => return done,
        }
    }
    flock(lock, FlockOperation::NonBlockingLockExclusive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        Home::open(path).unwrap_err().to_string()
    }

    #[test]
    fn only_a_host_home_is_opened_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(&folder.path().join("nowhere")).contains("there is no host home"));
        assert!(refusal(folder.path()).contains("no directory `pods`"));
        fs::create_dir(folder.path().join("pods")).unwrap();
        assert!(refusal(folder.path()).contains("no file `cluster-id.txt`"));
        hostfiles::replace(
            &folder.path().join("cluster-id.txt"),
            b"my-cluster\n",
            0o644,
        )
        .unwrap();
        let home = Home::open(folder.path()).unwrap();
        assert!(refusal(folder.path()).contains("another simplenetesd"));
        let lock = fs::metadata(folder.path().join(".daemon.lock")).unwrap();
        assert_eq!(lock.mode() & 0o777, 0o600, "others could keep it locked");
        drop(home);
        Home::open(folder.path()).unwrap();
    }
}
