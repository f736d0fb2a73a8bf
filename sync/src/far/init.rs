//! Makes a directory the host home of a cluster, once. What it holds is a sync's to bring.

use std::fs;
use std::io;
use std::path::PathBuf;

use hostfiles::{ClusterId, HostHome, ReadError, ReplaceError, read_if_present, write};

use super::lock::{Holder, Lock, LockError};
use super::owner::{self, OwnerError};
use super::reach::{self, ReachError};

/// A directory did not become a host home.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// It is one already, of another cluster.
    #[error("{} is the host home of cluster {found} already: choose another HOSTHOME in host.env", home.display())]
    OtherCluster {
        /// The directory.
        home: PathBuf,
        /// The cluster it belongs to.
        found: ClusterId,
    },
    /// It is somebody else's.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// A place in it cannot be changed.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// It is being synced, or cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its directories cannot be made.
    #[error("cannot make the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// What is there cannot be read.
    #[error("cannot tell which cluster the directory belongs to")]
    Read(#[from] ReadError),
    /// Its cluster id cannot be written.
    #[error("cannot say which cluster the directory belongs to")]
    Write(#[from] ReplaceError),
}

/// Whether a host home may change its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// A host home of another cluster is left alone.
    Refused,
    /// It becomes ours.
    Forced,
}

/// Makes `home` a host home of the cluster, and makes sure that this user can sync it. Gives false if it was
/// one already.
///
/// # Errors
/// It belongs to another cluster and may not be taken over, to another user, or cannot be written.
pub fn init(home: &HostHome, cluster: &ClusterId, takeover: Takeover) -> Result<bool, InitError> {
    owner::check(home.path())?;
    if let Some(found) = read_if_present::<ClusterId>(&home.cluster_id())?
        && found != *cluster
        && takeover == Takeover::Refused
    {
        return Err(InitError::OtherCluster {
            home: home.path().to_owned(),
            found,
        });
    }
    for path in [home.pods_dir(), home.plugins_dir()] {
        reach::check_plain(&path)?;
        fs::create_dir_all(&path).map_err(|source| InitError::Directory {
            path: path.clone(),
            source,
        })?;
        reach::check_writable(&path)?;
    }
    reach::check_writable(home.path())?;
    // A host home that cannot be locked cannot be synced.
    let _lock = Lock::take(home, &Holder::preparing())?;
    // Last, because a directory with a cluster id counts as a host home.
    Ok(write(&home.cluster_id(), cluster)?)
}
