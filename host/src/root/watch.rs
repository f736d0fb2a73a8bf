//! Notices that something in a directory has changed in which a host home could appear or vanish. What
//! has changed is not its business. The directories are watched through what was opened, so no link is
//! followed here either.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use tokio::net::unix::pipe;

/// So many bytes of events are read at a time.
const EVENTS_MAX: usize = 4096;

/// The watch; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Watch(Result<Arc<pipe::Receiver>, String>);

impl Watch {
    /// A watch on nothing.
    pub(super) fn start() -> Self {
        // To tokio, what the kernel's queue of events gives is as good as a pipe: bytes that arrive.
        let made = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(io::Error::from)
            .and_then(pipe::Receiver::from_owned_fd_unchecked);
        Self(made.map(Arc::new).map_err(|error| error.to_string()))
    }

    /// Why nothing can be watched.
    pub(super) fn problem(&self) -> Option<&str> {
        self.0.as_ref().err().map(String::as_str)
    }

    /// Watches a directory too. One that is watched already is not watched twice; one that cannot be is
    /// found by the next regular look.
    pub(super) fn add(&self, directory: &OwnedFd) {
        let Ok(inotify) = &self.0 else {
            return;
        };
        let events = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let _ = add_watch(&**inotify, path, events);
    }

    /// Waits for a change.
    pub(super) async fn changed(&self) {
        let Ok(inotify) = &self.0 else {
            return std::future::pending().await;
        };
        let mut space = [0; EVENTS_MAX];
        loop {
            if inotify.readable().await.is_err() {
                return std::future::pending().await;
            }
            match inotify.try_read(&mut space) {
                // All that are waiting; the end is that there is none.
                Ok(_) => while inotify.try_read(&mut space).is_ok_and(|read| read > 0) {},
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return std::future::pending().await,
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_new_directory_and_a_removed_one_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::start();
        watch.add(&fs::File::open(folder.path()).unwrap().into());
        fs::create_dir(folder.path().join("new")).unwrap();
        watch.changed().await;
        fs::remove_dir(folder.path().join("new")).unwrap();
        watch.changed().await;
    }
}
