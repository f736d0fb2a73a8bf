//! Writes `endpoints.conf` of the host, all that our own proxy has to know of releases which are ready, and
//! `portmappings.conf`, as much of it as the original can say.
//!
//! One task writes them, and only when they differ from what is on the disk, so that a file which somebody
//! else has damaged or taken away comes back. After a start of the daemon it waits until every
//! release has been looked at, so that a restart takes no route away; a release whose driver takes longer
//! keeps what it had meanwhile (`inherited`).

mod inherited;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostfiles::{
    Endpoint, Endpoints, Format, HostHome, PortMapping, PortMappings, remove_leftovers, write,
};
use names::ReleaseId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::log::{Log, one_line};
use crate::system::since_epoch;

pub use inherited::Inherited;

/// Messages that wait to be written.
const QUEUE_MAX: usize = 1_024;
/// Releases that have not been looked at after so long are not waited for.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(10);
/// What is inherited is looked at so often.
const INHERITED_LOOK: Duration = Duration::from_secs(2);
/// After so long without news the file is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Nobody waits longer for a write: a disk that hangs must not keep a unit from being stopped.
const WRITTEN_MAX: Duration = Duration::from_secs(2);
/// A write that failed, for a full disk perhaps, is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What leads to a release that is ready; nothing does to one that is not.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// The cluster ports with their host ports.
    pub mappings: Vec<PortMapping>,
    /// The same with all that is known, and the ways that have no host port. Whose they are is added when they are
    /// written.
    pub endpoints: Vec<Endpoint>,
}

/// The ways into a pod of which nothing is known but its mappings.
impl From<Vec<PortMapping>> for Ways {
    fn from(mappings: Vec<PortMapping>) -> Self {
        let endpoints = mappings.iter().copied().map(Endpoint::from).collect();
        Self {
            mappings,
            endpoints,
        }
    }
}

/// The files that the proxy routes by.
#[derive(Debug, Clone)]
pub struct Files {
    /// `portmappings.conf`
    pub mappings: PathBuf,
    /// `endpoints.conf`
    pub endpoints: PathBuf,
}

impl Files {
    /// Those of a host.
    #[must_use]
    pub fn of(home: &HostHome) -> Self {
        Self {
            mappings: home.portmappings_conf(),
            endpoints: home.endpoints_conf(),
        }
    }
}

/// What the writer is told.
#[derive(Debug)]
pub enum Message {
    /// This leads to the release now.
    Set(ReleaseId, Ways),
    /// The file has changed: it should be looked at.
    Look,
    /// To be answered when all that was said before stands in the file, or could not be written.
    Written(oneshot::Sender<()>),
}

/// Where drivers say which ports lead to their release.
#[derive(Debug, Clone)]
pub struct Routes {
    sender: mpsc::Sender<Message>,
}

impl Routes {
    /// The way to a writer, and the writer's end of it.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Self { sender }, receiver)
    }

    /// A way to nowhere: where there is no proxy, nothing is routed.
    #[must_use]
    pub fn nowhere() -> Self {
        let (routes, mut messages) = Self::channel();
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                if let Message::Written(sender) = message {
                    // Whoever has stopped waiting does not want to know.
                    let _ = sender.send(());
                }
            }
        });
        routes
    }

    /// Says what leads to a release now.
    pub async fn set(&self, id: ReleaseId, ways: impl Into<Ways>) {
        // The writer is gone only when the daemon ends.
        let _ = self.sender.send(Message::Set(id, ways.into())).await;
    }

    /// Waits until all that was said before stands in the file: from then on the proxy is told not to
    /// dial what is about to be stopped. It waits two seconds at most.
    pub async fn written(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.sender.send(Message::Written(sender)).await.is_ok() {
            // Neither a late nor a lost answer may keep a unit from being stopped.
            let _ = timeout(WRITTEN_MAX, receiver).await;
        }
    }

    /// Says that the file may not be what was written.
    pub async fn look(&self) {
        let _ = self.sender.send(Message::Look).await;
    }
}

/// The releases that exist when the daemon starts, whose drivers have not spoken yet.
#[derive(Debug, Clone, Default)]
pub struct Unheard {
    /// All of them.
    pub releases: BTreeSet<ReleaseId>,
    /// What ports lead to them already.
    pub inherited: BTreeMap<ReleaseId, Inherited>,
}

impl Unheard {
    fn remove(&mut self, id: &ReleaseId) {
        self.releases.remove(id);
        self.inherited.remove(id);
    }

    /// Forgets those whom something speaks against.
    async fn look(&mut self) {
        if !self.inherited.is_empty() {
            let mut inherited = std::mem::take(&mut self.inherited);
            let now_s = since_epoch().as_secs();
            // Files are read, on a disk that may block.
            let looked = tokio::task::spawn_blocking(move || {
                inherited.retain(|_, one| one.holds(now_s));
                inherited
            });
            self.inherited = looked.await.unwrap_or_default();
        }
    }
}

/// Writes the files until every [`Routes`] is gone.
pub async fn run(
    files: Files,
    mut messages: mpsc::Receiver<Message>,
    mut unheard: Unheard,
    log: Log,
) {
    for path in [&files.mappings, &files.endpoints] {
        if let Err(error) = remove_leftovers(path) {
            let path = path.display();
            log.warn(format_args!("cannot tidy up beside {path}: {error}"));
        }
    }
    let mut routes: BTreeMap<ReleaseId, Ways> = BTreeMap::new();
    let mut waiting = Vec::new();
    let deadline = Instant::now() + FIRST_LOOK_MAX;
    while !unheard.releases.is_empty() {
        match timeout_at(deadline, messages.recv()).await {
            Err(_) => break,
            Ok(None) => return,
            Ok(Some(Message::Look)) => {}
            Ok(Some(Message::Written(sender))) => waiting.push(sender),
            Ok(Some(Message::Set(id, ways))) => {
                unheard.remove(&id);
                routes.insert(id, ways);
            }
        }
    }
    loop {
        unheard.look().await;
        let inherited = unheard.inherited.iter().map(|(id, one)| (id, &one.ways));
        let written = write_files(&files, routes.iter().chain(inherited), log).await;
        let pause = match written {
            Ok(()) if !unheard.inherited.is_empty() => INHERITED_LOOK,
            Ok(()) => LOOK_AGAIN,
            Err(Failed) => TRY_AGAIN,
        };
        for sender in waiting.drain(..) {
            // Whoever has stopped waiting does not want to know.
            let _ = sender.send(());
        }
        let mut news = match timeout(pause, messages.recv()).await {
            Err(_) => continue,
            Ok(None) => return,
            Ok(message) => message,
        };
        while let Some(message) = news {
            match message {
                Message::Set(id, ways) => {
                    unheard.remove(&id);
                    routes.insert(id, ways);
                }
                Message::Written(sender) => waiting.push(sender),
                Message::Look => {}
            }
            news = messages.try_recv().ok();
        }
    }
}

/// The file could not be written, which has been said.
struct Failed;

/// Writes what leads to all these releases.
async fn write_files<'a>(
    files: &Files,
    ways: impl Iterator<Item = (&'a ReleaseId, &'a Ways)>,
    log: Log,
) -> Result<(), Failed> {
    let (mut mappings, mut endpoints) = (Vec::new(), Vec::new());
    for (id, ways) in ways {
        let pod = format!("{}-{}", id.pod, id.version);
        mappings.extend(&ways.mappings);
        endpoints.extend(ways.endpoints.iter().map(|endpoint| Endpoint {
            pod: Some(pod.clone()),
            ..endpoint.clone()
        }));
    }
    let (mappings, endpoints) = (PortMappings::merged(mappings), Endpoints::merged(endpoints));
    // A mapping comes after the endpoint that belongs to it, lest it be believed alone at first.
    let described = write_file(&files.endpoints, endpoints, log).await;
    // Those who read the mappings alone are served in any case.
    write_file(&files.mappings, mappings, log)
        .await
        .and(described)
}

async fn write_file<F: Format + Send + 'static>(
    path: &Path,
    content: F,
    log: Log,
) -> Result<(), Failed> {
    let file = path.to_owned();
    match tokio::task::spawn_blocking(move || write(&file, &content)).await {
        Ok(Ok(true)) => log.debug(format_args!("wrote {}", path.display())),
        Ok(Ok(false)) | Err(_) => {}
        Ok(Err(error)) => {
            log.error(one_line(&error));
            return Err(Failed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
