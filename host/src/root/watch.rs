//! Notices that something in a directory has changed in which a host home could appear or vanish. What
//! has changed is not its business. The directories are watched through what was opened, so no link is
//! followed here either.
//!
//! The kernel gives root so many watches, and users make and move directories as they like: what was not
//! seen at the last look is watched no longer, and nobody has more than his share.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init, remove_watch};
use tokio::net::unix::pipe;

/// So many bytes of events are read at a time.
const EVENTS_MAX: usize = 4096;

/// So many directories of one user are watched; homes in others are found by the next regular look. Those
/// of root are what the operator has made.
const WATCHES_OF_USER_MAX: usize = 256;

/// The watch; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Watch(Result<Arc<Inotify>, String>);

#[derive(Debug)]
struct Inotify {
    /// To tokio, what the kernel's queue of events gives is as good as a pipe: bytes that arrive.
    events: pipe::Receiver,
    watched: Mutex<BTreeSet<i32>>,
}

impl Watch {
    /// A watch on nothing.
    pub(super) fn start() -> Self {
        let made = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(io::Error::from)
            .and_then(pipe::Receiver::from_owned_fd_unchecked);
        let made = made.map(|events| Inotify {
            events,
            watched: Mutex::default(),
        });
        Self(made.map(Arc::new).map_err(|error| error.to_string()))
    }

    /// Why nothing can be watched.
    pub(super) fn problem(&self) -> Option<&str> {
        self.0.as_ref().err().map(String::as_str)
    }

    /// Begins a look at all directories that should be watched.
    pub(super) fn look(&self) -> Look<'_> {
        Look {
            inotify: self.0.as_deref().ok(),
            seen: BTreeSet::new(),
            owners: BTreeMap::new(),
        }
    }

    /// Waits for a change.
    pub(super) async fn changed(&self) {
        let Ok(inotify) = &self.0 else {
            return std::future::pending().await;
        };
        let mut space = [0; EVENTS_MAX];
        loop {
            let events = &inotify.events;
            if events.readable().await.is_err() {
                return std::future::pending().await;
            }
            match events.try_read(&mut space) {
                // All that are waiting; the end is that there is none.
                Ok(_) => while events.try_read(&mut space).is_ok_and(|read| read > 0) {},
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return std::future::pending().await,
            }
            return;
        }
    }
}

/// A look at the directories that should be watched.
#[derive(Debug)]
pub(super) struct Look<'a> {
    inotify: Option<&'a Inotify>,
    seen: BTreeSet<i32>,
    owners: BTreeMap<u32, usize>,
}

impl Look<'_> {
    /// Watches a directory of this user too. One that is watched already is not watched twice; one that
    /// cannot be is found by the next regular look.
    pub(super) fn add(&mut self, directory: &OwnedFd, owner: u32) {
        let Some(inotify) = self.inotify else {
            return;
        };
        let count = self.owners.entry(owner).or_default();
        if owner != 0 && *count >= WATCHES_OF_USER_MAX {
            return;
        }
        let events = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        if let Ok(watch) = add_watch(&inotify.events, path, events)
            && self.seen.insert(watch)
        {
            *count += 1;
        }
    }

    /// Ends the look: what it has not seen is watched no longer.
    pub(super) fn end(self) {
        let Some(inotify) = self.inotify else {
            return;
        };
        let mut watched = inotify
            .watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for gone in watched.difference(&self.seen) {
            // The kernel has let go of a directory that was removed.
            let _ = remove_watch(&inotify.events, *gone);
        }
        *watched = self.seen;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn look(watch: &Watch, directories: &[&Path], owner: u32) {
        let mut look = watch.look();
        for directory in directories {
            look.add(&fs::File::open(directory).unwrap().into(), owner);
        }
        look.end();
    }

    /// How many directories the kernel watches.
    fn count(watch: &Watch) -> usize {
        let events = watch.0.as_ref().unwrap().events.as_raw_fd();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{events}")).unwrap();
        info.lines()
            .filter(|line| line.starts_with("inotify "))
            .count()
    }

    #[tokio::test]
    async fn nobody_uses_up_the_watches() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::start();
        let names: Vec<_> = (0..WATCHES_OF_USER_MAX + 20)
            .map(|number| folder.path().join(number.to_string()))
            .collect();
        names.iter().for_each(|name| fs::create_dir(name).unwrap());
        let all: Vec<&Path> = names.iter().map(AsRef::as_ref).collect();
        look(&watch, &all, 64_001);
        assert_eq!(count(&watch), WATCHES_OF_USER_MAX);
        look(&watch, &all, 0);
        assert_eq!(count(&watch), all.len());
        // Moved to where nobody looks, they are watched no longer.
        look(&watch, &all[..3], 64_001);
        assert_eq!(count(&watch), 3);
        fs::remove_dir(&names[0]).unwrap();
        look(&watch, &all[1..4], 64_001);
        look(&watch, &all[1..4], 64_001);
        assert_eq!(count(&watch), 3);
    }

    #[tokio::test]
    async fn a_new_directory_and_a_removed_one_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::start();
        look(&watch, &[folder.path()], 0);
        fs::create_dir(folder.path().join("new")).unwrap();
        watch.changed().await;
        fs::remove_dir(folder.path().join("new")).unwrap();
        watch.changed().await;
    }
}
