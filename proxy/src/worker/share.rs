//! Long streams and the others, each where it belongs.

use std::sync::atomic::Ordering;

use super::{Order, Worker, index, place};
use crate::streams::Courier;
use crate::tools::{Key, Side};

impl Worker {
    /// A stream has become long, or is no longer: each worker has its share of the long ones, and those that
    /// accept clients carry all others.
    pub(super) fn share(&mut self, key: Key, long: bool) {
        self.streams.count(long);
        if let Some(place) = place(&mut self.places, key) {
            place.long = long;
        }
        let other = if long {
            self.streams.less_busy()
        } else {
            self.streams.home()
        };
        let stays = self.counts.stays.load(Ordering::Relaxed);
        if let Some(other) = other.cloned().filter(|_| !stays) {
            self.hand_over(key, &other);
        }
    }

    /// Has another worker carry a connection.
    fn hand_over(&mut self, key: Key, other: &Courier) {
        let Some(mut place) = self.places.try_remove(index(key)) else {
            return;
        };
        if place.long {
            self.streams.count(false);
        }
        for side in Side::ALL {
            if let Some(socket) = place.connection.socket(side) {
                self.tools.forget(socket);
            }
        }
        self.tools.pipes.part_with(place.connection.pipes());
        other.tell(Order::Carry(Box::new(place.connection)));
    }
}
