//! Notices when one of the proxy's input files may have changed.
//!
//! The files are replaced by renaming, so their *folders* are watched. What is noticed is only a hint:
//! the caller looks at the files again, and does so every few seconds anyway, because a folder may not
//! exist yet, or be replaced as a whole. This module must not read the files.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::event::{Event, FileNews, Reporter};

/// Watches the folders of some files.
pub(crate) struct FileWatch {
    /// `None` when the kernel gives no watcher.
    watcher: Option<RecommendedWatcher>,
    /// The names of the files; other files in their folders are nobody's business.
    names: Arc<Mutex<HashSet<OsString>>>,
    folders: BTreeSet<PathBuf>,
    /// Folders whose trouble was told already.
    told: HashSet<PathBuf>,
    report: Reporter,
}

impl FileWatch {
    /// Notifies `changed` whenever a followed file may have changed.
    pub(crate) fn new(changed: Arc<Notify>, report: Reporter) -> Self {
        let names = Arc::new(Mutex::new(HashSet::new()));
        let followed = Arc::clone(&names);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // A watcher in trouble may have lost something, which is a reason to look.
            if event.map_or(true, |event| concerns(&event, &followed)) {
                changed.notify_one();
            }
        });
        Self {
            watcher: watcher.ok(),
            names,
            folders: BTreeSet::new(),
            told: HashSet::new(),
            report,
        }
    }

    /// Follows these files and no others. May be called again at any time: a folder that could not be
    /// watched, or was replaced by another one of the same name, is watched from then on.
    pub(crate) fn follow(&mut self, files: &[&Path]) {
        let named = files
            .iter()
            .filter_map(|file| Some(file.file_name()?.to_owned()))
            .collect();
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = named;
        let folders: BTreeSet<PathBuf> = files.iter().map(|file| folder(file)).collect();
        for gone in self.folders.difference(&folders) {
            if let Some(watcher) = &mut self.watcher {
                // It may never have been watched, or be gone.
                let _ = watcher.unwatch(gone);
            }
        }
        for folder in &folders {
            let watched = match &mut self.watcher {
                Some(watcher) => watcher
                    .watch(folder, RecursiveMode::NonRecursive)
                    .map_err(|e| e.to_string()),
                None => Err("the kernel gives no watcher".to_owned()),
            };
            match watched {
                Ok(()) => {
                    self.told.remove(folder);
                }
                Err(why) if self.told.insert(folder.clone()) => {
                    (self.report)(&Event::File(folder.clone(), FileNews::CannotWatch(why)));
                }
                Err(_) => {}
            }
        }
        self.folders = folders;
    }
}

/// The folder of a file; the current one when the path names none.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn concerns(event: &notify::Event, followed: &Mutex<HashSet<OsString>>) -> bool {
    // Reading a file is an event as well, and must not be a reason to read it again.
    if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
    {
        return false;
    }
    let followed = followed.lock().unwrap_or_else(PoisonError::into_inner);
    event.paths.is_empty()
        || event
            .paths
            .iter()
            .any(|path| path.file_name().is_some_and(|name| followed.contains(name)))
}
