//! What goes between a driver and the step that is under way: the last line that it wrote, and the wish
//! to end a download.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

/// Both ways, for one release.
#[derive(Debug, Clone, Default)]
pub struct Told {
    line: Arc<watch::Sender<String>>,
    cancel: Arc<Notify>,
}

impl Told {
    /// Says what the step that is under way wrote last.
    pub(super) fn line(&self, line: String) {
        self.line.send_replace(line);
    }

    /// Whoever listens hears what steps write last.
    #[must_use]
    pub fn lines(&self) -> watch::Receiver<String> {
        self.line.subscribe()
    }

    /// Ends the download that is under way, if there is one.
    pub fn cancel(&self) {
        self.cancel.notify_waiters();
    }

    /// Waits for the wish to end a download.
    pub async fn cancelled(&self) {
        self.cancel.notified().await;
    }
}
