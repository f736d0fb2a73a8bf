//! Clients that wait for a place, by cluster port: first come, first served, so many and so long as proxy.conf says.
//!
//! Whenever a place becomes free the first one tries again. That may be missed, where the place is one at another
//! host or was taken and given back meanwhile, so all of them also look at a steady pace.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Order, Worker, place};
use crate::tools::Key;

/// So many may wait at most, when it is only for a way to another host that is being made.
const WAY_MAX: usize = 10_000;
/// How often those who wait look for a place by themselves.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Worker {
    /// Has a client wait for a place, if that many may.
    pub(super) fn enqueue(&mut self, key: Key) {
        let Some(place) = place(&mut self.places, key) else {
            return;
        };
        let (port, until) = (place.connection.port(), place.connection.until(&self.tools));
        place.alarm = Some(until);
        let before = std::mem::replace(&mut place.waited, true);
        self.alarms.push(std::cmp::Reverse((until, key)));
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        self.queue_look.get_or_insert(self.tools.now + LOOK_EVERY);
        let queue = self.queues.entry(port).or_default();
        let most = if place.connection.waits_for_way() {
            WAY_MAX
        } else {
            self.tools.routes.queue.clients
        };
        if before {
            // It tried again, and stays the first.
            return queue.push_front(key);
        }
        if queue.len() >= most {
            // Those that have left by themselves are not counted.
            queue.retain(|key| super::place(&mut self.places, *key).is_some());
        }
        if queue.len() < most {
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

    /// Connections have given their places back: here, and perhaps for those who wait at other workers.
    pub(super) fn serve_freed(&mut self) {
        while let Some(port) = self.tools.freed.pop() {
            if self.counts.queued.load(Ordering::Relaxed) > 0 && !self.serve(port) {
                self.streams.tell_others(|| Order::Freed(port));
            }
        }
    }

    /// Has the first client of every queue try again, when it is time or the routes are others.
    pub(super) fn serve_all(&mut self) {
        for port in self.queues.keys().copied().collect::<Vec<_>>() {
            let mut tries = self
                .queues
                .get(&port)
                .map_or(0, std::collections::VecDeque::len);
            while tries > 0 && self.serve(port) {
                tries -= 1;
            }
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        let waits = !self.queues.is_empty();
        self.queue_look = waits.then(|| self.tools.now + LOOK_EVERY);
    }

    /// Has the first one go on; false when there is none, or still no place for it.
    pub(super) fn serve(&mut self, port: u16) -> bool {
        while let Some(queue) = self.queues.get_mut(&port)
            && let Some(key) = queue.pop_front()
        {
            let Some(place) = place(&mut self.places, key) else {
                continue;
            };
            self.counts.queued.fetch_sub(1, Ordering::Relaxed);
            let waited = self
                .tools
                .now
                .saturating_duration_since(place.connection.began());
            place.connection.retry(&mut self.tools);
            self.advance(key);
            let first = self.queues.get(&port).and_then(|queue| queue.front());
            let got_one = first != Some(&key);
            if got_one {
                self.tools.board.waits.record(waited);
            }
            return got_one;
        }
        false
    }
}
