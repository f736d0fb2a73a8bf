//! Whether the journal will be able to do what it says: asked while nothing has changed yet.
//!
//! Below the host home no symbolic link is followed, everything lies on the file system of the stage (a
//! rename works on no other), and every directory that changes can be written by this user. Must not
//! change anything.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hostfiles::HostHome;
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::journal::{Operation, SyncDir};

/// A place in the host home that a sync cannot change.
#[derive(Debug, thiserror::Error)]
#[error("nothing was changed, because {} {why}", path.display())]
pub struct ReachError {
    /// The place.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: Obstacle,
    /// What the file system said, if it was asked to no avail.
    pub source: Option<io::Error>,
}

/// What is wrong with a place that a sync should change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// It may lead out of the host home.
    #[error(
        "is a symbolic link, and a sync follows none below a host home: put the directory itself there"
    )]
    Link,
    /// Something else is in its way.
    #[error("is no directory: move away what is there")]
    NoDirectory,
    /// A rename does not reach it.
    #[error(
        "lies on another file system than the host home: mount all of the host home, or nothing in it"
    )]
    OtherFileSystem,
    /// The user may not.
    #[error(
        "cannot be changed by this user: give it to the owner of the host home, with write permission"
    )]
    NotWritable,
    /// Nobody knows.
    #[error("cannot be looked at")]
    Unknown,
}

type Checked = Result<(), ReachError>;

/// Refuses operations that would fail half-way.
pub(super) fn check(home: &HostHome, operations: &[Operation]) -> Checked {
    let stage = SyncDir::of(home).path().to_owned();
    let device = look(&stage)?.map_or(0, |present| present.dev());
    check_on(device, home.path(), operations)
}

fn check_on(device: u64, home: &Path, operations: &[Operation]) -> Checked {
    let mut reach = Reach {
        device,
        home,
        known: BTreeSet::new(),
    };
    let unknown = |source| refused(home, Obstacle::Unknown, Some(source));
    // The host home itself may be named through a link.
    reach.on_device(home, &fs::metadata(home).map_err(unknown)?)?;
    for operation in operations {
        match operation {
            Operation::MakeDirectory { path } => reach.directory(path)?,
            Operation::Place { to: path, .. }
            | Operation::Remove { path }
            | Operation::RemoveTree { path }
            | Operation::SetAside { path, .. } => reach.entry(path)?,
        }
    }
    Ok(())
}

/// Refuses a directory that this user cannot change.
pub(super) fn check_writable(directory: &Path) -> Checked {
    let needed = Access::WRITE_OK | Access::EXEC_OK;
    accessat(CWD, directory, needed, AtFlags::EACCESS)
        .map_err(|error| refused(directory, Obstacle::NotWritable, Some(error.into())))
}

/// Refuses a directory that is a link or something else; it may be absent.
pub(super) fn check_plain(directory: &Path) -> Checked {
    look(directory)?.map_or(Ok(()), |present| plain(directory, &present))
}

struct Reach<'a> {
    device: u64,
    home: &'a Path,
    /// Directories that were found good, with all above them.
    known: BTreeSet<PathBuf>,
}

impl Reach<'_> {
    /// What is at `path` goes, with all below it, and something else may come there.
    fn entry(&mut self, path: &str) -> Checked {
        let parent = Path::new(path).parent().unwrap_or(Path::new(""));
        self.directory(parent)?;
        let path = self.home.join(path);
        match look(&path)? {
            Some(present) => self.goes(&path, &present),
            None => Ok(()),
        }
    }

    /// A directory in which something changes, or its nearest parent that exists.
    fn directory(&mut self, relative: impl AsRef<Path>) -> Checked {
        let mut nearest = self.home.to_owned();
        for part in relative.as_ref().components() {
            let next = nearest.join(part);
            if !self.known.contains(&next) {
                let Some(present) = look(&next)? else { break };
                plain(&next, &present)?;
                self.on_device(&next, &present)?;
                self.known.insert(next.clone());
            }
            nearest = next;
        }
        check_writable(&nearest)
    }

    fn goes(&self, path: &Path, present: &Metadata) -> Checked {
        self.on_device(path, present)?;
        if !present.is_dir() {
            return Ok(());
        }
        let unknown = |source| refused(path, Obstacle::Unknown, Some(source));
        let entries: Vec<_> = fs::read_dir(path)
            .and_then(Iterator::collect)
            .map_err(unknown)?;
        if !entries.is_empty() {
            check_writable(path)?;
        }
        entries.iter().try_for_each(|entry: &fs::DirEntry| {
            let path = entry.path();
            look(&path)?.map_or(Ok(()), |present| self.goes(&path, &present))
        })
    }

    fn on_device(&self, path: &Path, present: &Metadata) -> Checked {
        if present.dev() == self.device {
            return Ok(());
        }
        Err(refused(path, Obstacle::OtherFileSystem, None))
    }
}

fn plain(path: &Path, present: &Metadata) -> Checked {
    if present.is_symlink() {
        return Err(refused(path, Obstacle::Link, None));
    }
    if !present.is_dir() {
        return Err(refused(path, Obstacle::NoDirectory, None));
    }
    Ok(())
}

/// What is at a path, links not followed.
fn look(path: &Path) -> Result<Option<Metadata>, ReachError> {
    match fs::symlink_metadata(path) {
        Ok(present) => Ok(Some(present)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(refused(path, Obstacle::Unknown, Some(source))),
    }
}

fn refused(path: &Path, why: Obstacle, source: Option<io::Error>) -> ReachError {
    ReachError {
        path: path.to_owned(),
        why,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obstacle(device: u64, home: &str, to: &str) -> (Obstacle, PathBuf) {
        let operations = [Operation::Place {
            from: ".sync/stage/1".to_owned(),
            to: to.to_owned(),
        }];
        let error = check_on(device, Path::new(home), &operations).unwrap_err();
        (error.why, error.path)
    }

    /// To mount one needs rights that a test does not have, but every machine has mounted `/proc`.
    #[test]
    fn another_file_system_than_that_of_the_stage_is_refused() {
        let device = fs::metadata("/").unwrap().dev();
        let other = Obstacle::OtherFileSystem;
        assert_eq!(
            obstacle(device, "/", "proc/web/release"),
            (other, PathBuf::from("/proc"))
        );
        assert_eq!(
            obstacle(device, "/proc", "hosts.conf"),
            (other, PathBuf::from("/proc"))
        );
    }
}
