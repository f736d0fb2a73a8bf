//! Writes `portmappings.conf` of the host: the cluster ports that lead to releases which are ready.
//!
//! One task writes it, and only when it differs. After a start of the daemon it waits until every
//! release has been looked at, so that a restart takes no route away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use hostfiles::{PortMapping, PortMappings, write};
use names::ReleaseId;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::log::{Log, one_line};

/// Messages that wait to be written.
const QUEUE_MAX: usize = 1_024;
/// Releases that have not been looked at after so long are not waited for.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(10);

/// Where drivers say which ports lead to their release.
#[derive(Debug, Clone)]
pub struct Routes {
    sender: mpsc::Sender<(ReleaseId, Vec<PortMapping>)>,
}

impl Routes {
    /// The way to a writer, and the writer's end of it.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<(ReleaseId, Vec<PortMapping>)>) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Self { sender }, receiver)
    }

    /// Says which ports lead to a release now.
    pub async fn set(&self, id: ReleaseId, mappings: Vec<PortMapping>) {
        // The writer is gone only when the daemon ends.
        let _ = self.sender.send((id, mappings)).await;
    }
}

/// Writes the file at `path` until every [`Routes`] is gone. `expected` are the releases that exist when
/// the daemon starts.
pub async fn run(
    path: PathBuf,
    mut messages: mpsc::Receiver<(ReleaseId, Vec<PortMapping>)>,
    mut expected: BTreeSet<ReleaseId>,
    log: Log,
) {
    let mut routes = BTreeMap::new();
    let deadline = Instant::now() + FIRST_LOOK_MAX;
    while !expected.is_empty() {
        let Ok(message) = timeout_at(deadline, messages.recv()).await else {
            break;
        };
        let Some((id, mappings)) = message else {
            return;
        };
        expected.remove(&id);
        routes.insert(id, mappings);
    }
    loop {
        let merged = PortMappings::merged(routes.values().flatten().copied());
        let file = path.clone();
        let written = tokio::task::spawn_blocking(move || write(&file, &merged)).await;
        match written {
            Ok(Ok(true)) => log.debug(format_args!("wrote {}", path.display())),
            Ok(Ok(false)) | Err(_) => {}
            Ok(Err(error)) => log.error(one_line(&error)),
        }
        let Some((id, mappings)) = messages.recv().await else {
            return;
        };
        routes.insert(id, mappings);
        while let Ok((id, mappings)) = messages.try_recv() {
            routes.insert(id, mappings);
        }
    }
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
}
