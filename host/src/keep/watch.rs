//! Notices that something of one release has changed. Only its directory and its configs are watched.

use std::fs;
use std::path::{Path, PathBuf};

use hostfiles::ReleaseDir;
use notify::{Config, Event, EventKind, INotifyWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Changes that wait to be taken; more of them say nothing new.
const QUEUE_MAX: usize = 64;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// There may be a request by hand.
    Action,
    /// Somebody has written the status.
    Status,
    /// The pod, what it should be, or a config; or nobody knows.
    Desired,
}

/// A watch over one release.
pub(crate) struct Watch {
    changes: mpsc::Receiver<Change>,
    watcher: INotifyWatcher,
    configs: PathBuf,
}

impl Watch {
    pub(crate) fn start(release: &ReleaseDir) -> notify::Result<Self> {
        let (sender, changes) = mpsc::channel(QUEUE_MAX);
        let note = move |event: notify::Result<Event>| {
            for change in changes_of(event) {
                // A full queue wakes the driver already, which looks at everything then.
                let _ = sender.try_send(change);
            }
        };
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = INotifyWatcher::new(note, config)?;
        watcher.watch(release.path(), RecursiveMode::NonRecursive)?;
        let mut watch = Self {
            changes,
            watcher,
            configs: release.configs_dir(),
        };
        watch.follow();
        Ok(watch)
    }

    /// Watches the directories of the configs that are there now.
    pub(crate) fn follow(&mut self) {
        let mut directories = vec![self.configs.clone()];
        let inner = fs::read_dir(&self.configs).into_iter().flatten().flatten();
        directories.extend(inner.map(|entry| entry.path()).filter(|path| path.is_dir()));
        for directory in directories {
            // One that was taken away meanwhile needs no watch.
            let _ = self.watcher.watch(&directory, RecursiveMode::Recursive);
        }
    }

    /// The next change.
    pub(crate) async fn next(&mut self) -> Change {
        match self.changes.recv().await {
            Some(change) => change,
            None => std::future::pending().await,
        }
    }
}

fn changes_of(event: notify::Result<Event>) -> Vec<Change> {
    match event {
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => Vec::new(),
        Ok(event) if !event.need_rescan() => {
            event.paths.iter().filter_map(|path| change(path)).collect()
        }
        Ok(_) | Err(_) => vec![Change::Desired, Change::Action],
    }
}

fn change(path: &Path) -> Option<Change> {
    match path.file_name()?.to_str()? {
        "pod.action" => Some(Change::Action),
        ".pod.status" => Some(Change::Status),
        "log" | "run" | "root" | "ramdisk" | ".pod.lock" | ".pod.hand" => None,
        name if name.ends_with(".tmp") => None,
        _ => Some(Change::Desired),
    }
}
