//! What a proxy counts, for whoever looks.
//!
//! ```text
//! worker ──writes──▶ Board ◀──reads── Window (a unix socket) ◀──GET── curl, Prometheus, `sns-proxy top`
//! ```
//!
//! Every worker has a [`Board`] of its own and is the only one that writes on it, so that counting costs a load and
//! a store. Numbers only grow; whoever reads adds up all boards. What is known by name (cluster ports, backends) is
//! bounded by what the files of the host name, and by `SERIES_MAX`: nothing that comes over the network is a name.

mod address;
pub(crate) mod connections;
mod exposition;
mod histogram;
mod process;
mod request;
mod sources;
mod text;
mod window;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::address::SocketPath;
pub(crate) use self::histogram::Histogram;
pub(crate) use self::sources::Sources;
pub use self::sources::Upgrade;
pub(crate) use self::window::Window;
use crate::event::{Event, PortNews};
use crate::flow::Moved;
use crate::table::Routes;

/// How many cluster ports, and how many backends, are counted by name on one board; the rest is counted together.
const SERIES_MAX: usize = 10_000;

/// A number that only its worker changes, and anybody reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        // One writer: no other change can come in between.
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(more);
        self.0.store(sum, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of one direction, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    pub(crate) copied: Counter,
    pub(crate) spliced: Counter,
}

impl Bytes {
    fn add(&self, before: Moved, after: Moved) {
        let spliced = after.spliced.wrapping_sub(before.spliced);
        let all = after.bytes.wrapping_sub(before.bytes);
        if spliced > 0 {
            self.spliced.add(spliced);
        }
        self.copied.add(all.wrapping_sub(spliced));
    }
}

/// What is counted of one cluster port.
#[derive(Debug, Default)]
pub(crate) struct PortTally {
    /// Clients that were accepted at the port itself.
    pub(crate) accepts: Counter,
    /// From clients to servers.
    pub(crate) up: Bytes,
    /// From servers to clients.
    pub(crate) down: Bytes,
    /// Clients that were reset because all backends are full.
    pub(crate) busy: Counter,
    /// Clients that were reset because no backend answers.
    pub(crate) unanswered: Counter,
    /// Dials after one that came to nothing.
    pub(crate) retries: Counter,
    /// Dials beside one that has not answered yet.
    pub(crate) hedges: Counter,
}

impl PortTally {
    /// What flowed both ways between two looks at a connection.
    pub(crate) fn moved(&self, before: [Moved; 2], after: [Moved; 2]) {
        let ([up_before, down_before], [up, down]) = (before, after);
        if up.bytes != up_before.bytes {
            self.up.add(up_before, up);
        }
        if down.bytes != down_before.bytes {
            self.down.add(down_before, down);
        }
    }
}

/// What is counted of one backend, or of another host's proxy, of one cluster port.
#[derive(Debug, Default)]
pub(crate) struct BackendTally {
    pub(crate) connects: Counter,
    pub(crate) failures: Counter,
    pub(crate) ejections: Counter,
    pub(crate) readmissions: Counter,
}

/// On which way a backend was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Inside the network of its pod.
    Inside,
    /// At its host port.
    HostPort,
    /// Through the proxy of another host, its answer included.
    Proxy,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Inside, Self::HostPort, Self::Proxy];

    /// As a label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::HostPort => "host_port",
            Self::Proxy => "proxy",
        }
    }
}

/// Tallies by name. None for what was counted together because there are too many names.
#[derive(Debug)]
struct Named<K, T>(Mutex<HashMap<Option<K>, Arc<T>>>);

impl<K, T> Default for Named<K, T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Copy + Eq + Hash, T: Default> Named<K, T> {
    fn of(&self, key: K) -> Arc<T> {
        let mut known = self.lock();
        if let Some(tally) = known.get(&Some(key)) {
            return Arc::clone(tally);
        }
        let key = (known.len() < SERIES_MAX).then_some(key);
        Arc::clone(known.entry(key).or_default())
    }

    /// All of them; whoever reads holds the lock no longer than it takes to copy the pointers.
    fn all(&self) -> Vec<(Option<K>, Arc<T>)> {
        let known = self.lock();
        let pairs = known.iter().map(|(key, tally)| (*key, Arc::clone(tally)));
        pairs.collect()
    }

    fn keep(&self, keep: impl Fn(K) -> bool) {
        self.lock().retain(|key, _| key.is_none_or(&keep));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<K>, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one worker counts.
#[derive(Debug, Default)]
pub(crate) struct Board {
    ports: Named<u16, PortTally>,
    backends: Named<(u16, SocketAddr), BackendTally>,
    /// Clients of other hosts that their proxies have asked a backend for.
    pub(crate) relay_accepts: Counter,
    /// Other proxies that did not ask for a cluster port.
    pub(crate) refused: Counter,
    /// Connections that could not be accepted.
    pub(crate) not_accepted: Counter,
    /// Connections that one side broke off.
    pub(crate) broken: Counter,
    connects: [Histogram; Way::ALL.len()],
    /// How long clients that were served in the end had waited for a place.
    pub(crate) waits: Histogram,
}

impl Board {
    /// What is counted of a cluster port.
    pub(crate) fn port(&self, port: u16) -> Arc<PortTally> {
        self.ports.of(port)
    }

    /// A backend, or another proxy, was reached.
    pub(crate) fn reached(&self, port: u16, backend: SocketAddr, way: Way, took: Duration) {
        self.backends.of((port, backend)).connects.count();
        self.connects(way).record(took);
    }

    fn connects(&self, way: Way) -> &Histogram {
        let [inside, host_port, proxy] = &self.connects;
        match way {
            Way::Inside => inside,
            Way::HostPort => host_port,
            Way::Proxy => proxy,
        }
    }

    /// Another one is dialled for a client.
    pub(crate) fn dialled_again(&self, port: u16, hedges: bool) {
        let tally = self.port(port);
        if hedges {
            tally.hedges.count();
        } else {
            tally.retries.count();
        }
    }

    /// Counts what is told of its worker's connections.
    pub(crate) fn see(&self, event: &Event) {
        match event {
            Event::BackendFailed(port, at, _) | Event::PeerFailed(port, at, _) => {
                self.backends.of((*port, *at)).failures.count();
            }
            Event::Ejected { port, backend, .. } => {
                self.backends.of((*port, *backend)).ejections.count();
            }
            Event::Readmitted { port, backend, .. } => {
                self.backends.of((*port, *backend)).readmissions.count();
            }
            Event::NotServed { port, busy, .. } => {
                let tally = self.port(*port);
                if *busy {
                    tally.busy.count();
                } else {
                    tally.unanswered.count();
                }
            }
            Event::BadRequest(_) => self.refused.count(),
            Event::Broken(..) => self.broken.count(),
            Event::Port(_, PortNews::CannotAccept(_)) => self.not_accepted.count(),
            _ => {}
        }
    }

    /// Forgets backends that are in the routes no more: pods come and go, and their numbers with them.
    pub(crate) fn forget_gone(&self, routes: &Routes) {
        self.backends.keep(|(port, at)| {
            routes.peers.iter().any(|peer| peer.address == at)
                || routes.slots(port).iter().any(|slot| slot.name() == at)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_names_are_counted_together() {
        let named = Named::<u32, Counter>::default();
        let most = u32::try_from(SERIES_MAX).unwrap();
        for key in 0..most + 5 {
            named.of(key).count();
        }
        named.of(0).count();
        let all = named.all();
        assert_eq!(all.len(), SERIES_MAX + 1);
        let count = |wanted| all.iter().find(|(key, _)| *key == wanted).unwrap().1.get();
        assert_eq!((count(None), count(Some(0)), count(Some(1))), (5, 2, 1));
        named.keep(|key| key == 1);
        assert_eq!(named.all().len(), 2);
    }

    #[test]
    fn what_was_spliced_is_not_copied_too() {
        let tally = PortTally::default();
        let moved = |bytes, spliced| Moved { bytes, spliced };
        tally.moved([moved(10, 0), moved(0, 0)], [moved(110, 60), moved(7, 0)]);
        let found = |bytes: &Bytes| (bytes.copied.get(), bytes.spliced.get());
        assert_eq!((found(&tally.up), found(&tally.down)), ((40, 60), (7, 0)));
    }
}
