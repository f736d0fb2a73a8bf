//! Writes `portmappings.conf` of the host: the cluster ports that lead to releases which are ready.
//!
//! One task writes it, and only when it differs from what is on the disk, so that a file which somebody
//! else has damaged or taken away comes back. After a start of the daemon it waits until every
//! release has been looked at, so that a restart takes no route away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostfiles::{PortMapping, PortMappings, remove_leftovers, write};
use names::ReleaseId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::log::{Log, one_line};

/// Messages that wait to be written.
const QUEUE_MAX: usize = 1_024;
/// Releases that have not been looked at after so long are not waited for.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(10);

/// After so long without news the file is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Nobody waits longer for a write: a disk that hangs must not keep a unit from being stopped.
const WRITTEN_MAX: Duration = Duration::from_secs(2);
/// A write that failed, for a full disk perhaps, is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What the writer is told.
#[derive(Debug)]
pub enum Message {
    /// These ports lead to the release now.
    Set(ReleaseId, Vec<PortMapping>),
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

    /// Says which ports lead to a release now.
    pub async fn set(&self, id: ReleaseId, mappings: Vec<PortMapping>) {
        // The writer is gone only when the daemon ends.
        let _ = self.sender.send(Message::Set(id, mappings)).await;
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

/// Writes the file at `path` until every [`Routes`] is gone. `expected` are the releases that exist when
/// the daemon starts.
pub async fn run(
    path: PathBuf,
    mut messages: mpsc::Receiver<Message>,
    mut expected: BTreeSet<ReleaseId>,
    log: Log,
) {
    if let Err(error) = remove_leftovers(&path) {
        log.warn(format_args!(
            "cannot tidy up beside {}: {error}",
            path.display()
        ));
    }
    let mut routes = BTreeMap::new();
    let mut waiting = Vec::new();
    let deadline = Instant::now() + FIRST_LOOK_MAX;
    while !expected.is_empty() {
        match timeout_at(deadline, messages.recv()).await {
            Err(_) => break,
            Ok(None) => return,
            Ok(Some(Message::Look)) => {}
            Ok(Some(Message::Written(sender))) => waiting.push(sender),
            Ok(Some(Message::Set(id, mappings))) => {
                expected.remove(&id);
                routes.insert(id, mappings);
            }
        }
    }
    loop {
        let pause = match write_routes(&path, &routes, log).await {
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
                Message::Set(id, mappings) => drop(routes.insert(id, mappings)),
                Message::Written(sender) => waiting.push(sender),
                Message::Look => {}
            }
            news = messages.try_recv().ok();
        }
    }
}

/// The file could not be written, which has been said.
struct Failed;

async fn write_routes(
    path: &Path,
    routes: &BTreeMap<ReleaseId, Vec<PortMapping>>,
    log: Log,
) -> Result<(), Failed> {
    let merged = PortMappings::merged(routes.values().flatten().copied());
    let file = path.to_owned();
    match tokio::task::spawn_blocking(move || write(&file, &merged)).await {
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
mod tests {
    use super::*;
    use crate::log::Level;

    fn id(text: &str) -> ReleaseId {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_before_every_release_was_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portmappings.conf");
        hostfiles::replace(&path, b"61000:30000:10:false\n", 0o644).unwrap();
        let (routes, messages) = Routes::channel();
        let expected = BTreeSet::from([id("a:1.0.0"), id("b:1.0.0")]);
        let writer = tokio::spawn(run(
            path.clone(),
            messages,
            expected,
            Log::new(Level::Error),
        ));
        let mapping = |text: &str| text.parse::<PortMapping>().unwrap();
        routes
            .set(id("b:1.0.0"), vec![mapping("61001:30001:10:true")])
            .await;
        tokio::task::yield_now().await;
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "61000:30000:10:false\n"
        );
        routes
            .set(id("a:1.0.0"), vec![mapping("61000:30000:10:false")])
            .await;
        drop(routes);
        writer.await.unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "61000:30000:10:false\n61001:30001:10:true\n"
        );
    }

    #[tokio::test]
    async fn a_file_that_somebody_damaged_or_removed_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portmappings.conf");
        let (routes, messages) = Routes::channel();
        let log = Log::new(Level::Error);
        let writer = tokio::spawn(run(path.clone(), messages, BTreeSet::new(), log));
        let mapping = "61000:30000:10:false".parse().unwrap();
        routes.set(id("a:1.0.0"), vec![mapping]).await;
        hostfiles::replace(&path, b"xx\n", 0o644).unwrap();
        routes.look().await;
        drop(routes);
        writer.await.unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "61000:30000:10:false\n"
        );
    }

    #[tokio::test]
    async fn what_was_withdrawn_is_gone_before_a_stop_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portmappings.conf");
        let (routes, messages) = Routes::channel();
        let log = Log::new(Level::Error);
        let expected = BTreeSet::from([id("a:1.0.0"), id("b:1.0.0")]);
        let writer = tokio::spawn(run(path.clone(), messages, expected, log));
        let read = || std::fs::read_to_string(&path).unwrap();
        let mapping = |text: &str| vec![text.parse::<PortMapping>().unwrap()];
        let [first, second] = ["61000:30000:10:false", "61001:30001:10:false"];
        routes.set(id("a:1.0.0"), mapping(first)).await;
        // The writer still waits for the other release; then both are written together.
        let ((), ()) = tokio::join!(routes.written(), async {
            routes.set(id("b:1.0.0"), mapping(second)).await;
        });
        assert_eq!(read(), format!("{first}\n{second}\n"));
        routes.set(id("a:1.0.0"), Vec::new()).await;
        routes.written().await;
        assert_eq!(read(), format!("{second}\n"));
        drop(routes);
        writer.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_failed_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("home");
        let path = directory.join("portmappings.conf");
        let (_routes, messages) = Routes::channel();
        let log = Log::new(Level::Error);
        let writer = tokio::spawn(run(path.clone(), messages, BTreeSet::new(), log));
        tokio::time::sleep(TRY_AGAIN / 2).await;
        std::fs::create_dir(&directory).unwrap();
        while !path.exists() {
            tokio::time::sleep(TRY_AGAIN).await;
        }
        writer.abort();
    }
}
