//! `host-id.txt`: tells a host home from every other on the same machine. One word of eight hexadecimal
//! digits.
//!
//! Names of volumes, pods and containers are made with it, so it stays with the host home wherever that is
//! moved to. A copy of a host home has the same, and must not be served beside it. A pod that lies by itself
//! has one too, in `.pod.id`.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs;
use std::hash::BuildHasher as _;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Format, FormatError, HostHome, ReadError, ReleaseDir, read_if_present};

/// The identity of a host home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostId(String);

/// The identity of a host home could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum HostIdError {
    /// What stands there is something else.
    #[error("cannot read the identity of the host home")]
    Read(#[source] ReadError),
    /// There is none, and none could be made.
    #[error("cannot make {}", .0.display())]
    Make(PathBuf, #[source] io::Error),
}

impl HostId {
    /// The id of this host home, which gets one when it has none.
    ///
    /// # Errors
    /// The file is damaged, or cannot be made.
    pub fn of(home: &HostHome) -> Result<Self, HostIdError> {
        Self::at(&home.host_id())
    }

    /// The id of a release that lies by itself, in no host home: two directories may hold the same pod.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn of_release(release: &ReleaseDir) -> Result<Self, HostIdError> {
        Self::at(&release.id())
    }

    fn at(path: &Path) -> Result<Self, HostIdError> {
        let known = || read_if_present::<Self>(path).map_err(HostIdError::Read);
        if let Some(id) = known()? {
            return Ok(id);
        }
        let failed = |error| HostIdError::Make(path.to_owned(), error);
        // Every hasher of the standard library starts from fresh randomness of the system.
        let random = RandomState::new().hash_one(std::process::id());
        let id = Self(format!("{:08x}", random & 0xffff_ffff));
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        write_new(&beside, id.to_text().as_bytes()).map_err(failed)?;
        // A link is made whole or not at all, and never in place of one that somebody else has made.
        let linked = fs::hard_link(&beside, path);
        fs::remove_file(&beside).map_err(failed)?;
        match linked {
            Ok(()) => Ok(id),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                known()?.ok_or_else(|| failed(error))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    // One that a killed process has left may be there.
    let mut file = fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl FromStr for HostId {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = text.len() == 8 && text.bytes().all(is_digit);
        fits.then(|| Self(text.to_owned())).ok_or_else(|| {
            FormatError::whole::<Self>(text, "eight hexadecimal digits, as in 3f9ac211")
        })
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Format for HostId {
    const NAME: &'static str = "host-id.txt";

    fn parse(text: &str) -> Result<Self, FormatError> {
        text.trim().parse()
    }

    fn to_text(&self) -> String {
        format!("{self}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_home_keeps_its_id() {
        let directory = tempfile::tempdir().unwrap();
        let home = HostHome::new(directory.path());
        let id = HostId::of(&home).unwrap();
        assert_eq!(HostId::of(&home).unwrap(), id);
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1, "nothing stays beside it");
    }

    #[test]
    fn a_damaged_id_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let home = HostHome::new(directory.path());
        crate::replace(&home.host_id(), b"web\n", 0o644).unwrap();
        assert!(HostId::of(&home).is_err());
        assert_eq!(fs::read_to_string(home.host_id()).unwrap(), "web\n");
    }
}
