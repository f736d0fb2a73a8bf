//! What the proxy routes by right now: the backends of every cluster port, and the other hosts.
//!
//! [`Routes`] is one unchanging picture; [`Table`] makes the next one and carries over how many
//! connections every backend has, so that `maxConn` holds across any number of reloads. Neither knows
//! where a mapping was written down.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hostfiles::Endpoint;
use names::HostPort;
use serde::{Deserialize, Serialize};
use simplenetes_reach::Process;

pub use names::{AcceptProxy as Accept, SendProxy as Send};

use crate::health::Health;
use crate::inside::{Inside, Place, Pool};
use crate::opening::Manner;
use crate::peers::link::Link;
use crate::route::Load;

/// A backend is the same one as long as it keeps its cluster port and its address; one that has none, as long as it is
/// the same process.
type Key = (u16, At);

/// Where a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum At {
    Host(SocketAddr),
    Inside(Place),
}

impl At {
    /// The address by which others know it: inside, that of its own loopback.
    fn name(self) -> SocketAddr {
        match self {
            Self::Host(target) => target,
            Self::Inside(place) => SocketAddr::from((Ipv4Addr::LOCALHOST, place.port)),
        }
    }
}

/// One backend of a cluster port on this host.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The cluster port.
    pub port: u16,
    /// Where to dial; none where it is reached inside only.
    pub target: Option<SocketAddr>,
    /// How many connections it may have at most.
    pub max_conn: u32,
    /// What its clients bring.
    pub accept: Accept,
    /// Which PROXY header it wants.
    pub send: Send,
    /// Whose it is, as far as somebody has said.
    pub pod: Option<Arc<str>>,
    state: Arc<State>,
    /// The way in, where there may be one.
    inside: Option<Arc<Pool>>,
}

/// What is known of a backend as long as a picture or a connection holds it.
#[derive(Debug)]
struct State {
    place: Key,
    active: AtomicU32,
    health: Health,
}

/// The right to hold one connection to a backend; given back when dropped.
#[derive(Debug)]
pub struct Lease(Arc<State>);

impl Lease {
    /// Whether the backend answers.
    pub(crate) fn health(&self) -> &Health {
        &self.0.health
    }

    /// The cluster port, and where the backend is.
    pub(crate) fn place(&self) -> (u16, At) {
        self.0.place
    }
}

impl Slot {
    /// How busy it is, at that time in milliseconds.
    #[must_use]
    pub fn load(&self, now_ms: u64) -> Load {
        Load {
            active: self.state.active.load(Ordering::Relaxed),
            max: self.max_conn,
            answers_in: self.state.health.answers_in(),
            standing: self.state.health.standing(now_ms),
        }
    }

    /// The address by which others know it.
    pub(crate) fn name(&self) -> SocketAddr {
        let (_, at) = self.state.place;
        at.name()
    }

    /// Whether a place is one of its own.
    pub(crate) fn gave(&self, lease: &Lease) -> bool {
        Arc::ptr_eq(&self.state, &lease.0)
    }

    /// What it says about headers.
    #[must_use]
    pub fn manner(&self) -> Manner {
        Manner {
            accept: self.accept,
            send: self.send,
        }
    }

    /// The way into its own network, where there may be one.
    pub(crate) fn inside(&self) -> Option<&Arc<Pool>> {
        self.inside.as_ref()
    }

    /// Takes one of its connections; `None` when it is full.
    #[must_use]
    pub fn lease(&self) -> Option<Lease> {
        let below = |active| (active < self.max_conn).then_some(active + 1);
        self.state
            .active
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, below)
            .ok()?;
        Some(Lease(Arc::clone(&self.state)))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One picture of the cluster as this host sees it.
#[derive(Debug, Default)]
pub struct Routes {
    slots: BTreeMap<u16, Vec<Slot>>,
    /// The proxies of the other hosts.
    pub peers: Vec<Peer>,
    /// Proxies that speak the original's lines are served.
    pub takes_lines: bool,
    /// Who may wait for a place.
    pub queue: Queue,
    /// The pods are on another machine than the proxy, which can vanish without a word.
    pub pods_elsewhere: bool,
}

/// The proxy of another host.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it talks to other proxies.
    pub address: SocketAddr,
    /// What is known of it; none when it speaks the original's lines, and is only asked.
    pub(crate) link: Option<Arc<Link>>,
}

/// How many clients of one cluster port may wait for a place at a full backend, and how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    /// So many at a time, at each worker that accepts clients.
    pub clients: usize,
    /// So long, counted from when they connected.
    pub wait: Duration,
}

impl Routes {
    /// The backends of a cluster port on this host.
    #[must_use]
    pub fn slots(&self, port: u16) -> &[Slot] {
        self.slots.get(&port).map_or(&[], Vec::as_slice)
    }

    /// The cluster ports that have a backend on this host, ascending.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.slots.keys().copied()
    }
}

/// Makes [`Routes`] and remembers the connections of every backend that still has any.
#[derive(Debug, Default)]
pub struct Table {
    states: HashMap<Key, Weak<State>>,
    pools: HashMap<Key, Weak<Pool>>,
    inside: Option<Inside>,
}

impl Table {
    /// One that knows the way into pods.
    pub(crate) fn with_ways(inside: Inside) -> Self {
        Self {
            inside: Some(inside),
            ..Self::default()
        }
    }

    /// Forgets everything, and waits until the helpers in the networks of pods are gone.
    pub(crate) fn end(self) {
        if let Some(inside) = self.inside {
            inside.end();
        }
    }

    /// The next picture. `pod_host` is the address of the host ports; without one there is nothing to
    /// dial on this host. A slot that stands twice in the files counts once: the first one.
    pub fn routes(
        &mut self,
        described: &[Endpoint],
        pod_host: Option<IpAddr>,
        peers: Vec<Peer>,
    ) -> Routes {
        let mut slots: BTreeMap<u16, Vec<Slot>> = BTreeMap::new();
        let mut seen = HashSet::new();
        for endpoint in described {
            let port = endpoint.cluster_port.get();
            let host_port = endpoint.host_port.map(HostPort::get);
            let target = pod_host
                .zip(host_port)
                .map(|(ip, port)| SocketAddr::new(ip, port));
            let place = endpoint.inside.map(place);
            let at = match (target, place) {
                (Some(target), _) => At::Host(target),
                (None, Some(place)) if host_port.is_none() => At::Inside(place),
                _ => continue,
            };
            if seen.insert((port, at)) {
                let slot = Slot {
                    port,
                    target,
                    max_conn: endpoint.max_conn,
                    accept: endpoint.accept,
                    send: endpoint.send,
                    pod: endpoint.pod.as_deref().map(Arc::from),
                    state: self.state((port, at)),
                    inside: place.and_then(|place| self.pool((port, at), place)),
                };
                slots.entry(port).or_default().push(slot);
            }
        }
        self.states.retain(|_, state| state.strong_count() > 0);
        self.pools.retain(|_, pool| pool.strong_count() > 0);
        let queue = Queue::default();
        Routes {
            slots,
            peers,
            takes_lines: false,
            queue,
            pods_elsewhere: false,
        }
    }

    /// A place that a connection has already, whatever the limit is now.
    pub(crate) fn hold(&mut self, place: (u16, At)) -> Lease {
        let state = self.state(place);
        state.active.fetch_add(1, Ordering::AcqRel);
        Lease(state)
    }

    /// A pool is the same one as long as it leads to the same place.
    fn pool(&mut self, key: Key, place: Place) -> Option<Arc<Pool>> {
        let known = self.pools.get(&key).and_then(Weak::upgrade);
        if let Some(pool) = known.filter(|pool| pool.place == place) {
            return Some(pool);
        }
        let pool = self.inside.as_ref()?.pool(place);
        self.pools.insert(key, Arc::downgrade(&pool));
        Some(pool)
    }

    /// The state of a backend lives as long as a picture or a connection holds it.
    fn state(&mut self, key: Key) -> Arc<State> {
        if let Some(state) = self.states.get(&key).and_then(Weak::upgrade) {
            return state;
        }
        let state = Arc::new(State {
            place: key,
            active: AtomicU32::new(0),
            health: Health::default(),
        });
        self.states.insert(key, Arc::downgrade(&state));
        state
    }
}

fn place(inside: hostfiles::Inside) -> Place {
    Place {
        process: Process {
            pid: inside.pid,
            start_time: inside.start_time,
        },
        port: inside.target_port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(cluster_port: u16, host_port: u16, max_conn: u32) -> Endpoint {
        described(&format!(
            "cluster={cluster_port} host={host_port} max={max_conn}"
        ))
    }

    fn described(line: &str) -> Endpoint {
        line.parse().unwrap()
    }

    fn routes(table: &mut Table, described: &[Endpoint]) -> Routes {
        table.routes(described, Some(IpAddr::from([10, 0, 0, 1])), Vec::new())
    }

    #[test]
    fn no_more_leases_than_connections() {
        let routes = routes(&mut Table::default(), &[mapping(61000, 30000, 2)]);
        let slot = &routes.slots(61000)[0];
        let (first, second) = (slot.lease(), slot.lease());
        assert!(first.is_some() && second.is_some() && slot.lease().is_none());
        drop(first);
        assert_eq!((slot.load(0).active, slot.load(0).max), (1, 2));
        assert!(slot.lease().is_some());
    }

    #[test]
    fn connections_are_counted_across_pictures() {
        let mut table = Table::default();
        let old = routes(&mut table, &[mapping(61000, 30000, 5)]);
        let lease = old.slots(61000)[0].lease();
        drop(old);
        // The mapping goes away and comes back with another limit while its connection lives.
        assert_eq!(routes(&mut table, &[]).ports().count(), 0);
        let new = routes(&mut table, &[mapping(61000, 30000, 1)]);
        let load = new.slots(61000)[0].load(0);
        assert_eq!((load.active, load.max), (1, 1));
        assert!(new.slots(61000)[0].lease().is_none());
        drop(lease);
        assert!(new.slots(61000)[0].lease().is_some());
    }

    #[test]
    fn counters_without_owner_are_dropped() {
        let mut table = Table::default();
        drop(routes(
            &mut table,
            &[mapping(61000, 30000, 5), mapping(61001, 30000, 5)],
        ));
        drop(routes(&mut table, &[]));
        assert!(table.states.is_empty());
    }

    #[test]
    fn a_mapping_counts_once_and_needs_an_address() {
        let mut table = Table::default();
        let mappings = [
            mapping(61000, 30000, 1),
            mapping(61000, 30000, 9),
            mapping(61000, 30001, 1),
        ];
        assert_eq!(routes(&mut table, &mappings).slots(61000).len(), 2);
        assert_eq!(table.routes(&mappings, None, Vec::new()).ports().count(), 0);
    }

    #[test]
    fn a_slot_is_what_its_line_says() {
        let mut table = Table::with_ways(Inside::start(None));
        let line = "cluster=61000 target=80 pid=7 start=1 max=5 in=required out=v2 pod=web-1.0.0";
        let routes_of = |table: &mut Table, line: &str| routes(table, &[described(line)]);
        let found = routes_of(&mut table, line);
        let slot = &found.slots(61000)[0];
        assert_eq!((slot.target, slot.max_conn), (None, 5));
        assert_eq!((slot.accept, slot.send), (Accept::Required, Send::V2));
        assert_eq!(slot.pod.as_deref(), Some("web-1.0.0"));
        assert!(slot.inside().is_some());
        // Connections of one process are not counted for the next one: they ended with it.
        let lease = slot.lease();
        let same = routes_of(&mut table, &line.replace("max=5", "max=1"));
        assert!(same.slots(61000)[0].lease().is_none());
        let next = routes_of(&mut table, &line.replace("start=1", "start=2"));
        assert_eq!(next.slots(61000)[0].load(0).active, 0);
        drop(lease);
        // A host port stays the same door, whoever is behind it.
        let with = line.replace("target", "host=30000 target");
        let found = routes_of(&mut table, &with);
        let target = found.slots(61000)[0].target;
        assert_eq!(target, Some(SocketAddr::from(([10, 0, 0, 1], 30000))));
        let lease = found.slots(61000)[0].lease();
        let next = routes_of(&mut table, &with.replace("start=1", "start=2"));
        assert_eq!(next.slots(61000)[0].load(0).active, 1);
        drop(lease);
    }
}
