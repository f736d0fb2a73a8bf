//! Notices that something below a host home has changed, without looking again and again.
//!
//! Only directories that hold desired state are watched; the logs and roots of units, which change all
//! the time, never wake anyone. Where the kernel cannot watch, or has lost events, everything counts as
//! changed; and once a minute it does so anyway, however much was noticed meanwhile. What changed is said, what it means is not its business.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hostfiles::HostHome;
use names::ReleaseId;
use notify::event::ModifyKind;
use notify::{Config, Event, EventKind, INotifyWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use place::Place;

/// Changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(5);
/// Every so often everything counts as changed.
pub const SAFETY_RESCAN: Duration = Duration::from_secs(60);

/// What has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Anything may have: the list of releases, `hosts.conf`, or nobody knows.
    pub everything: bool,
    /// These releases.
    pub releases: BTreeSet<ReleaseId>,
    /// The list of plugins or their files.
    pub plugins: bool,
    /// Somebody has asked for something of these releases, perhaps.
    pub actions: BTreeSet<ReleaseId>,
    /// The status of these releases. It is the driver's own, so somebody else may have damaged it.
    pub statuses: BTreeSet<ReleaseId>,
    /// The routes of the host, which are the daemon's own.
    pub routes: bool,
}

impl Changes {
    fn all() -> Self {
        Self {
            everything: true,
            plugins: true,
            routes: true,
            ..Self::default()
        }
    }

    fn add(&mut self, place: Place) {
        match place {
            Place::Everything => self.everything = true,
            Place::Plugins => self.plugins = true,
            Place::Release(id) => {
                self.releases.insert(id);
            }
            Place::Action(id) => {
                self.actions.insert(id);
            }
            Place::Status(id) => {
                self.statuses.insert(id);
            }
            Place::Routes => self.routes = true,
            Place::Nothing => {}
        }
    }
}

#[derive(Default)]
struct Pending {
    changes: Mutex<Changes>,
    /// Directories that the kernel has let go of: one of the same name has to be watched anew, even when
    /// it has got the same inode.
    released: Mutex<BTreeSet<PathBuf>>,
    wake: Notify,
}

impl Pending {
    fn take(&self) -> Changes {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_something(&self) -> bool {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) != Changes::default()
    }

    fn note(&self, home: &Path, event: notify::Result<Event>) {
        if let Ok(event) = &event
            && matches!(
                event.kind,
                EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
            )
        {
            let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
            let is_beside = |path: &&PathBuf| path.extension().is_some_and(|end| end == "tmp");
            released.extend(event.paths.iter().filter(|path| !is_beside(path)).cloned());
        }
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) if event.need_rescan() => *changes = Changes::all(),
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
            Ok(event) => event
                .paths
                .iter()
                .for_each(|path| changes.add(Place::of(home, path))),
            Err(_) => *changes = Changes::all(),
        }
        drop(changes);
        if self.is_something() {
            self.wake.notify_one();
        }
    }
}

/// A watch over one host home.
pub struct Watch {
    home: HostHome,
    pending: Arc<Pending>,
    watcher: Option<INotifyWatcher>,
    /// The watched directories with their inode: one that was made anew must be watched anew.
    watched: BTreeMap<PathBuf, u64>,
    /// Why changes are only noticed once a minute.
    problem: Option<String>,
    safety_rescan: Duration,
    /// When everything counts as changed next.
    rescan_at: Instant,
}

impl Watch {
    /// A watch that follows nothing yet, see [`Self::follow`]. Each time that `safety_rescan` has passed,
    /// everything counts as changed.
    #[must_use]
    pub fn start(home: HostHome, safety_rescan: Duration) -> Self {
        let pending = Arc::new(Pending::default());
        let (sink, root) = (Arc::clone(&pending), home.path().to_owned());
        let config = Config::default().with_follow_symlinks(false);
        let watcher = INotifyWatcher::new(move |event| sink.note(&root, event), config);
        let (watcher, problem) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            home,
            pending,
            watcher,
            watched: BTreeMap::new(),
            problem,
            safety_rescan,
            rescan_at: Instant::now() + safety_rescan,
        }
    }

    /// Why changes are not noticed at once; none when they are.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Watches every directory that holds desired state now. Gives true when one was added: what was
    /// put into it before may have been missed, so everything should be read once more.
    pub fn follow(&mut self) -> bool {
        let present = place::directories(&self.home);
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let released = std::mem::take(
            &mut *self
                .pending
                .released
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let gone: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, inode)| present.get(*path) != Some(*inode) || released.contains(*path))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            // The kernel has let go of a directory that is gone already.
            let _ = watcher.unwatch(&path);
            self.watched.remove(&path);
        }
        let mut added = false;
        for (path, inode) in present {
            if self.watched.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path, inode);
                    added = true;
                }
                // It has vanished meanwhile, which its parent directory will tell.
                Err(_) if !path.exists() => {}
                Err(error) => self.problem = Some(error.to_string()),
            }
        }
        added
    }

    /// Waits until something has changed. Dropping the future loses nothing: what is pending is taken
    /// by the next call.
    pub async fn changes(&mut self) -> Changes {
        while !self.pending.is_something() && Instant::now() < self.rescan_at {
            // When it is late the loop ends as well.
            let _ = timeout_at(self.rescan_at, self.pending.wake.notified()).await;
        }
        let is_due = Instant::now() >= self.rescan_at;
        if !is_due {
            sleep(DEBOUNCE).await;
        }
        let changes = self.pending.take();
        if !is_due {
            return changes;
        }
        self.rescan_at = Instant::now() + self.safety_rescan;
        Changes {
            releases: changes.releases,
            actions: changes.actions,
            statuses: changes.statuses,
            ..Changes::all()
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_dir)
        .map(|meta| meta.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only ends a test that has failed already.
    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_directory_that_is_made_anew_is_watched_anew_even_with_the_same_inode() {
        let folder = tempfile::tempdir().unwrap();
        let pods = folder.path().join("pods");
        fs::create_dir(&pods).unwrap();
        let mut watch = Watch::start(HostHome::new(folder.path()), 60 * LIMIT);
        while watch.follow() {}
        for turn in 0..20 {
            // The file system likes to give the same inode again.
            fs::remove_dir_all(&pods).unwrap();
            fs::create_dir(&pods).unwrap();
            let pod = pods.join(turn.to_string());
            while !watch.watched.contains_key(&pod) {
                let changes = tokio::time::timeout(LIMIT, watch.changes()).await.unwrap();
                assert!(changes.everything, "{changes:?}");
                while watch.follow() {}
                fs::create_dir_all(&pod).unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn everything_is_looked_at_again_however_much_happens() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(HostHome::new(folder.path()), 10 * DEBOUNCE);
        let id: ReleaseId = "web:1.0.0".parse().unwrap();
        let note = |watch: &Watch| {
            let mut changes = watch.pending.changes.lock().unwrap();
            changes.statuses.insert(id.clone());
        };
        for _ in 0..3 {
            let mut seen = Vec::new();
            while !seen
                .last()
                .is_some_and(|changes: &Changes| changes.everything)
            {
                note(&watch);
                seen.push(watch.changes().await);
                assert!(seen.len() <= 11, "it never comes");
            }
            assert!(seen.iter().all(|changes| changes.statuses.contains(&id)));
            assert!(seen.len() >= 10, "too often");
        }
        // And when nothing happens at all.
        assert!(watch.changes().await.everything);
    }
}
