//! What goes between a driver and the step that is under way: the last line that it wrote, and the wish
//! to end a download.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Both ways, for one release.
#[derive(Debug, Clone, Default)]
pub struct Told {
    line: Arc<watch::Sender<String>>,
    /// True from the moment in which something else is wanted until the next operation begins: the
    /// operation may be between two steps in that moment.
    cancels: Arc<watch::Sender<bool>>,
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

    /// An operation begins, which is wanted. Said before the one who may cancel it can do so.
    pub fn begin(&self) {
        self.cancels.send_replace(false);
    }

    /// Ends the download that is under way, and those that the operation would begin later.
    pub fn cancel(&self) {
        self.cancels.send_replace(true);
    }

    /// True when the operation should begin no download any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.cancels.borrow()
    }

    /// Waits for the wish to end a download.
    pub async fn cancelled(&self) {
        // It cannot fail: the sender is here.
        let _ = self.cancels.subscribe().wait_for(|cancels| *cancels).await;
    }
}

/// Whether steps that nobody waits for any more are ended, or left to themselves. They are left when the
/// daemon ends before them: they hold the lock of their release, so that the next daemon waits for them.
#[derive(Debug, Clone, Default)]
pub struct Parting(Arc<AtomicBool>);

impl Parting {
    /// From now on steps are left to themselves.
    pub fn leave(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn leaves(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
