//! The end of a worker whose connections go on elsewhere.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Worker;
use crate::connection::Connection;

/// How long those are waited for who are being looked a backend for: most find one by then, and need not begin anew.
const DIALLED_IN: Duration = Duration::from_millis(20);

impl Worker {
    /// Takes no more connections; those that come wait in the kernel.
    pub(super) fn freeze(&mut self, to: oneshot::Sender<Vec<Connection>>) {
        for id in self.doors.keys().copied().collect::<Vec<_>>() {
            self.close_door(id);
        }
        self.freezing = Some((self.tools.now + DIALLED_IN, to));
    }

    /// Whether it is time to give everything away.
    pub(super) fn is_frozen(&self) -> bool {
        self.freezing.as_ref().is_some_and(|(until, _)| {
            let mut places = self.places.iter();
            self.tools.now >= *until || !places.any(|(_, place)| place.connection.is_dialling())
        })
    }

    pub(super) fn give_away(mut self) {
        let Some((_, to)) = self.freezing.take() else {
            return;
        };
        let all = self.places.drain().map(|place| place.connection);
        // Whoever asked may be gone: then they are reset.
        let _ = to.send(all.collect());
    }
}
