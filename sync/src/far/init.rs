//! Makes a directory the host home of a cluster, once. What it holds is a sync's to bring.

use std::fs;
use std::io;
use std::path::PathBuf;

use hostfiles::{ClusterId, HostHome, ReadError, ReplaceError, read_if_present, write};

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

/// Makes `home` a host home of the cluster. Gives false if it was one already.
///
/// # Errors
/// It belongs to another cluster, or cannot be written.
pub fn init(home: &HostHome, cluster: &ClusterId) -> Result<bool, InitError> {
    let found = read_if_present::<ClusterId>(&home.cluster_id());
    match found {
        Ok(Some(found)) if found != *cluster => {
            return Err(InitError::OtherCluster {
                home: home.path().to_owned(),
                found,
            });
        }
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    for path in [home.pods_dir(), home.plugins_dir(), home.sync_dir()] {
        fs::create_dir_all(&path).map_err(|source| InitError::Directory { path, source })?;
    }
    // Last, because a directory with a cluster id counts as a host home.
    Ok(write(&home.cluster_id(), cluster)?)
}
