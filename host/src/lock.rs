//! The lock of a release, `.pod.lock`: whoever holds it drives the release, and nobody else does.
//!
//! It is a `flock` on an open file description. The runner of a step inherits a duplicate of it, so the
//! lock stays held until the last step of a driver that was killed has ended. Into the file the holder
//! writes who it is, for people and for those who want it to make room; that text grants nothing.
//!
//! The file may be taken away under its holder, together with the directory of the release. Therefore
//! a lock counts only while the path still leads to the file that is locked ([`ReleaseLock::is_in_place`]).

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use hostfiles::ReleaseDir;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::process::{ProcessId, boot_id};

/// The permissions of the file of a lock.
const MODE: u32 = 0o600;
/// More is never written into the file, and never read from it.
const HOLDER_BYTES_MAX: u64 = 4_096;

/// As what somebody drives a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The daemon of the host home.
    Daemon,
    /// The resident driver of this one release, where there is no daemon.
    Keep,
}

/// Who drives a release: the one line of JSON in `.pod.lock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub process: ProcessId,
    /// The boot of the machine that the process belongs to.
    pub boot: String,
    /// What it is.
    pub role: Role,
}

impl Holder {
    fn myself(role: Role) -> io::Result<Self> {
        Ok(Self {
            process: ProcessId::of(std::process::id())?,
            boot: boot_id()?,
            role,
        })
    }

    fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot) && self.process.is_alive()
    }
}

/// What came of trying to take the lock.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours until it is dropped.
    Taken(ReleaseLock),
    /// Somebody else has it. None: who took it is gone, but a step that it began has not ended yet; or
    /// it has only just been taken.
    Held(Option<Holder>),
}

/// The lock of a release, held until this and all its duplicates are closed.
#[derive(Debug)]
pub struct ReleaseLock {
    file: File,
    path: PathBuf,
}

impl ReleaseLock {
    /// Takes the lock if it is free, and writes down who has it.
    ///
    /// # Errors
    /// The file cannot be opened, locked or written; `NotFound` when there is no such release.
    pub fn try_take(release: &ReleaseDir, role: Role) -> io::Result<Attempt> {
        let path = release.lock();
        loop {
            let file = open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(Attempt::Held(read_holder(&file))),
                Err(error) => return Err(error.into()),
            }
            if let Some(lock) = Self::confirmed(file, &path, role)? {
                return Ok(Attempt::Taken(lock));
            }
        }
    }

    /// Takes the lock, and waits for it as long as somebody else has it. Whoever drops the future waits
    /// no longer, and does not get it.
    ///
    /// # Errors
    /// As [`Self::try_take`].
    pub async fn take(release: &ReleaseDir, role: Role) -> io::Result<Self> {
        let path = release.lock();
        loop {
            let waited = wait_for_lock(open(&path)?).await?;
            if let Some(lock) = Self::confirmed(waited, &path, role)? {
                return Ok(lock);
            }
        }
    }

    /// Who drives the release now, as far as that is known. None as well when only a step of somebody
    /// who is gone holds the lock: then nobody drives it.
    #[must_use]
    pub fn holder(release: &ReleaseDir) -> Option<Holder> {
        let file = File::open(release.lock()).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => read_holder(&file),
            Ok(()) | Err(_) => None,
        }
    }

    /// True while the path of the lock still leads to the file that is locked. It does not when the
    /// directory of the release was taken away or replaced: then others do not see this lock.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        is_same(&self.file, &self.path)
    }

    /// A duplicate: the lock is held until it is closed as well, by whoever has it then.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(Into::into)
    }

    /// The lock, if the file is still in its place: it may have been removed while it was waited for.
    fn confirmed(file: File, path: &Path, role: Role) -> io::Result<Option<Self>> {
        if !is_same(&file, path) {
            return Ok(None);
        }
        let mut line = serde_json::to_vec(&Holder::myself(role)?)?;
        line.push(b'\n');
        file.write_all_at(&line, 0)?;
        file.set_len(line.len() as u64)?;
        Ok(Some(Self {
            file,
            path: path.to_owned(),
        }))
    }
}

/// The lock as a driver and its steps share it: nothing at first.
#[derive(Debug, Clone, Default)]
pub struct Hold(Arc<Mutex<Option<ReleaseLock>>>);

impl Hold {
    /// True when the lock is held and others can see it.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let lock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_ref().is_some_and(ReleaseLock::is_in_place)
    }

    /// Keeps this lock, in place of one whose file is gone.
    pub fn keep(&self, lock: ReleaseLock) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
    }

    /// A duplicate for a step; none when nothing is held, as for a step that a person runs.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn duplicate(&self) -> io::Result<Option<OwnedFd>> {
        let lock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_ref().map(ReleaseLock::duplicate).transpose()
    }
}

/// Opens the file of a lock, which is made if it is not there. Only its owner may open it: whoever else could
/// read it could also lock it, and would keep the owner from everything that it guards.
///
/// # Errors
/// It cannot be made or opened, or belongs to somebody else and is not closed to others.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(MODE)
        .open(path)?;
    // An earlier version may have made it.
    if file.metadata()?.permissions().mode() & 0o7777 != MODE {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

fn is_same(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// A line that is being written just now is none: who asks again gets it whole.
fn read_holder(mut file: &File) -> Option<Holder> {
    let mut text = String::new();
    file.by_ref()
        .take(HOLDER_BYTES_MAX)
        .read_to_string(&mut text)
        .ok()?;
    let holder: Holder = serde_json::from_str(text.lines().next()?).ok()?;
    holder.is_alive().then_some(holder)
}

/// Sleeps in the kernel until the lock is free. It has a thread of its own, because such a sleep may
/// last and cannot be broken off: one that nobody waits for any more gets the lock and lets it go.
async fn wait_for_lock(file: File) -> io::Result<File> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new()
        .name("release-lock".into())
        .spawn(move || {
            let taken = loop {
                match flock(&file, FlockOperation::LockExclusive) {
                    Err(Errno::INTR) => {}
                    taken => break taken,
                }
            };
            let _ = sender.send(taken.map(|()| file));
        })?;
    let lost = |_| io::Error::other("the thread that waits for the lock has ended");
    Ok(receiver.await.map_err(lost)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> (tempfile::TempDir, ReleaseDir) {
        let folder = tempfile::tempdir().unwrap();
        let release = ReleaseDir::new(folder.path().join("1.0.0"));
        fs::create_dir(release.path()).unwrap();
        (folder, release)
    }

    fn taken(release: &ReleaseDir) -> ReleaseLock {
        match ReleaseLock::try_take(release, Role::Keep).unwrap() {
            Attempt::Taken(lock) => lock,
            Attempt::Held(holder) => panic!("held by {holder:?}"),
        }
    }

    fn held(release: &ReleaseDir) -> Option<Holder> {
        match ReleaseLock::try_take(release, Role::Daemon).unwrap() {
            Attempt::Taken(_) => panic!("taken twice"),
            Attempt::Held(holder) => holder,
        }
    }

    #[test]
    fn nobody_else_can_open_the_file_of_a_lock() {
        let (_folder, release) = release();
        let mode = || fs::metadata(release.lock()).unwrap().mode() & 0o7777;
        taken(&release);
        assert_eq!(mode(), 0o600);
        // As earlier versions made it.
        fs::set_permissions(release.lock(), Permissions::from_mode(0o644)).unwrap();
        taken(&release);
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn one_has_it_and_the_others_learn_who() {
        let (_folder, release) = release();
        assert_eq!(ReleaseLock::holder(&release), None);
        let lock = taken(&release);
        let holder = held(&release).unwrap();
        assert_eq!(holder.role, Role::Keep);
        assert_eq!(holder.process.pid, std::process::id());
        assert_eq!(ReleaseLock::holder(&release), Some(holder));
        drop(lock);
        assert_eq!(ReleaseLock::holder(&release), None);
        taken(&release);
    }

    #[test]
    fn a_duplicate_keeps_it_and_a_holder_that_is_gone_is_nobody() {
        let (_folder, release) = release();
        let lock = taken(&release);
        let mut gone = Holder::myself(Role::Daemon).unwrap();
        gone.process.start_time += 1;
        let line = serde_json::to_vec(&gone).unwrap();
        lock.file.set_len(0).unwrap();
        lock.file.write_all_at(&line, 0).unwrap();
        let duplicate = lock.duplicate().unwrap();
        drop(lock);
        assert_eq!(held(&release), None);
        drop(duplicate);
        taken(&release);
    }

    #[test]
    fn a_directory_that_was_replaced_has_another_lock() {
        let (_folder, release) = release();
        let lock = taken(&release);
        assert!(lock.is_in_place());
        fs::remove_dir_all(release.path()).unwrap();
        assert!(!lock.is_in_place());
        let missing = ReleaseLock::try_take(&release, Role::Keep).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        fs::create_dir(release.path()).unwrap();
        let other = taken(&release);
        assert!(other.is_in_place() && !lock.is_in_place());
    }

    #[tokio::test]
    async fn who_waits_gets_it_in_the_end_even_if_the_file_was_removed() {
        let (_folder, release) = release();
        let first = taken(&release);
        let second = tokio::spawn({
            let release = release.clone();
            async move { ReleaseLock::take(&release, Role::Daemon).await }
        });
        tokio::task::yield_now().await;
        fs::remove_file(release.lock()).unwrap();
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert!(second.is_in_place());
        assert_eq!(ReleaseLock::holder(&release).unwrap().role, Role::Daemon);
    }
}
