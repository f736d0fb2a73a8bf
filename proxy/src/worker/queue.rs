//! Clients that wait for a place, by cluster port: first come, first served, so many and so long as proxy.conf says.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use super::{Order, Worker, place};
use crate::tools::Key;

impl Worker {
    /// Has a client wait for a place, if that many may.
    pub(super) fn enqueue(&mut self, key: Key) {
        let Some(port) = place(&mut self.places, key).map(|place| place.connection.port()) else {
            return;
        };
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        let queue = self.queues.entry(port).or_default();
        // Those that have left by themselves are not counted.
        queue.retain(|key| place(&mut self.places, *key).is_some());
        if queue.len() < self.tools.routes.queue.clients {
            queue.push_back(key);
        } else {
            self.turn_away(key);
        }
    }

    fn turn_away(&mut self, key: Key) {
        if let Some(place) = place(&mut self.places, key) {
            place.connection.turn_away(&self.tools);
        }
        self.remove(key);
    }

    /// There may be a place again at a backend of this port: here, and for those who wait at other workers.
    pub(super) fn note_free(&mut self, port: u16) {
        if self.counts.queued.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.freed.push(port);
        self.streams.tell_others(|| Order::Freed(port));
    }

    /// Has those go on for whom there may be a place.
    pub(super) fn serve_queues(&mut self) {
        while let Some(port) = self.freed.pop() {
            let waiting = self.queues.get(&port).map_or(0, VecDeque::len);
            for _ in 0..waiting {
                if !self.serve_first(port) {
                    break;
                }
            }
            if self.queues.get(&port).is_some_and(VecDeque::is_empty) {
                self.queues.remove(&port);
            }
        }
    }

    /// Has the first one go on; false when there is still no place for it.
    fn serve_first(&mut self, port: u16) -> bool {
        let Some(queue) = self.queues.get_mut(&port) else {
            return false;
        };
        let Some(key) = queue.pop_front() else {
            return false;
        };
        let Some(place) = place(&mut self.places, key) else {
            return true;
        };
        if !place.connection.retry(&mut self.tools) {
            queue.push_front(key);
            return false;
        }
        self.counts.queued.fetch_sub(1, Ordering::Relaxed);
        self.advance(key);
        true
    }
}
