//! The ends of connections that do not end by themselves, and of a worker whose connections go on elsewhere.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Worker;
use crate::connection::Connection;
use crate::tools::Key;

/// How long those are waited for who are being looked a backend for: most find one by then, and need not begin anew.
const DIALLED_IN: Duration = Duration::from_millis(20);

impl Worker {
    pub(super) fn cut(&mut self) {
        self.remove_all(|_| true);
        self.list.clear();
    }

    /// Connections on which nothing was asked are not waited for.
    pub(super) fn close_ready(&mut self) {
        self.remove_all(Connection::is_ready);
    }

    pub(super) fn remove_all(&mut self, which: impl Fn(&Connection) -> bool) {
        let places = self.places.iter();
        let chosen = places.filter(|(_, place)| which(&place.connection));
        let keys: Vec<Key> = chosen
            .filter_map(|(index, place)| {
                Some(Key {
                    index: u32::try_from(index).ok()?,
                    generation: place.generation,
                })
            })
            .collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }

    pub(super) fn tell_drained(&mut self) {
        for done in self.drained.drain(..) {
            // Whoever asked may have lost interest.
            let _ = done.send(());
        }
    }

    pub(super) fn end(mut self) {
        self.cut();
        self.tell_drained();
    }

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
