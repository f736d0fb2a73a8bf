//! Owns what changes while a proxy runs: the settings, the files, the ports and the routes, and decides when to look
//! again.
//!
//! Everything that can wake it is in `Wake`. It must not carry bytes: connections run on their own and
//! see only the routes that it publishes.

mod serve_out;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{sleep, sleep_until, timeout};

use crate::Patience;
use crate::config::Config;
use crate::connection::{Connection, Entrance};
use crate::conntrack::{FOLDER, Tracked, Watch};
use crate::doors::Layout;
use crate::event::{Event, FileNews, Reporter};
use crate::frozen::{Descriptors, Frozen, State, Thaw};
use crate::inputs::{Inputs, Paths};
use crate::inside::Inside;
use crate::listen::Listeners;
use crate::metrics::{Upgrade, Window};
use crate::peers::announce::Offers;
use crate::peers::reception::Reception;
use crate::peers::view::BEAT_EVERY;
use crate::peers::{Acquaintance, Peers};
use crate::proxy::{ConfigError, Order, Status, read_config};
use crate::quota::Teller;
use crate::table::{Peer, Routes, Table};
use crate::watch::FileWatch;
use crate::workers::Workers;

/// How long the other proxies may take until they have heard that this one ends.
const HEARD_IN: Duration = Duration::from_millis(100);

/// How long until a port that cannot be opened is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Everything that can wake the keeper.
enum Wake {
    /// The files may have changed, or it is time to look.
    Look,
    /// proxy.conf is to be read again.
    Reload,
    /// Everything is to be put to rest.
    Freeze(oneshot::Sender<io::Result<Frozen>>),
    /// The proxy is to end.
    Stop,
}

/// Owns what changes while a proxy runs.
pub(crate) struct Keeper {
    conf: PathBuf,
    config: Config,
    inputs: Inputs,
    table: Table,
    workers: Workers,
    listeners: Listeners,
    window: Window,
    files: FileWatch,
    changed: Arc<Notify>,
    patience: Patience,
    report: Reporter,
    teller: Arc<Teller>,
    status: watch::Sender<Status>,
    config_reads: u64,
    /// Whether it was told that there is no address.
    homeless: bool,
    /// The ports of which it was told that they may not be listened on.
    barred: BTreeSet<u16>,
    /// The proxies of which it was told that they are not asked.
    unknown: BTreeSet<SocketAddr>,
    peers: Peers,
    /// The routes in force.
    routes: Arc<Routes>,
    reception: Arc<Reception>,
    /// Connections that were at rest, until there are routes for them.
    thawed: Vec<Connection>,
    tracking: Watch,
    /// It opens nothing, see [`Self::serve_out`].
    serves_out: bool,
    /// It asks no other proxy any more.
    has_left: bool,
}

impl Keeper {
    pub(crate) fn new(
        conf: PathBuf,
        config: Config,
        inside: Inside,
        patience: Patience,
        teller: Arc<Teller>,
        status: watch::Sender<Status>,
        upgrades: mpsc::Sender<Upgrade>,
    ) -> io::Result<Self> {
        let told = Arc::clone(&teller);
        let report: Reporter = Arc::new(move |event| told.tell(event, Instant::now()));
        let changed = Arc::new(Notify::new());
        let (reception, strangers) = Reception::open();
        let workers = Workers::start(&report, &reception, patience)?;
        let sources = workers.sources(status.subscribe(), upgrades);
        let peers = Peers::start(
            (Arc::clone(&reception), strangers),
            workers.carrier(),
            workers.waker(),
            Arc::clone(&report),
        );
        Ok(Self {
            conf,
            config,
            inputs: Inputs::default(),
            table: Table::with_ways(inside),
            workers,
            peers,
            routes: Arc::default(),
            reception,
            thawed: Vec::new(),
            tracking: Watch::default(),
            serves_out: false,
            has_left: false,
            unknown: BTreeSet::new(),
            listeners: Listeners::new(Arc::clone(&report)),
            window: Window::new(sources, Arc::clone(&report)),
            files: FileWatch::new(Arc::clone(&changed), Arc::clone(&report)),
            changed,
            patience,
            report,
            teller,
            status,
            config_reads: 1,
            homeless: false,
            barred: BTreeSet::new(),
        })
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            self.look().await;
            self.carry_thawed();
            if self.workers.is_incomplete() {
                return (self.report)(&Event::WorkerLost);
            }
            match self.next(&mut orders).await {
                Wake::Look => {}
                Wake::Reload => self.reload(),
                Wake::Freeze(to) => {
                    let frozen = self.freeze().await;
                    // Whoever asked is gone: then its connections are lost.
                    let _ = to.send(frozen);
                    return;
                }
                Wake::Stop => return self.end().await,
            }
        }
    }

    /// Goes on with connections that were at rest.
    fn carry_thawed(&mut self) {
        self.workers.carry(std::mem::take(&mut self.thawed));
    }

    async fn next(&self, orders: &mut mpsc::Receiver<Order>) -> Wake {
        let fails = !self.listeners.failed().is_empty() || self.window.has_failed();
        let pause = if fails {
            RETRY_EVERY
        } else {
            self.patience.look_every
        };
        let has_links = self.routes.peers.iter().any(|peer| peer.link.is_some());
        let until = tokio::time::Instant::now() + pause;
        loop {
            tokio::select! {
                order = orders.recv() => return match order {
                    Some(Order::Reload) => Wake::Reload,
                    Some(Order::Freeze(to)) => Wake::Freeze(to),
                    Some(Order::Stop) | None => Wake::Stop,
                },
                () = self.changed.notified() => return Wake::Look,
                () = sleep_until(until) => return Wake::Look,
                // How busy the backends are is told from time to time.
                () = sleep(BEAT_EVERY), if has_links => self.offer(),
            }
        }
    }

    fn reload(&mut self) {
        self.config_reads += 1;
        match read_config(&self.conf) {
            Ok(config) => {
                self.config = config;
                (self.report)(&Event::File(self.conf.clone(), FileNews::SettingsRead));
            }
            Err(ConfigError::Refused { path, problems }) => {
                (self.report)(&Event::File(path, FileNews::SettingsRefused(problems)));
            }
            Err(ConfigError::Unreadable { path, source }) => {
                (self.report)(&Event::File(path, FileNews::Refused(source.to_string())));
            }
        }
    }

    /// Looks at the files, and does whatever follows from them.
    async fn look(&mut self) {
        let paths = Paths::of(&self.conf, &self.config);
        // First watch, then read: a change in between is seen twice rather than never.
        self.files.follow(&paths.all());
        self.inputs.refresh(&paths, &self.report);
        let mut layout = Layout::new(&self.config, &self.inputs);
        if self.serves_out {
            layout.doors.clear();
        } else {
            self.window.follow(paths.metrics.clone());
        }
        if self.has_left {
            layout.peers.clear();
        }
        if layout.host.is_none() && !self.homeless {
            (self.report)(&Event::NoAddress);
        }
        self.homeless = layout.host.is_none();
        if !layout.barred.is_subset(&self.barred) {
            (self.report)(&Event::Barred(layout.barred.iter().copied().collect()));
        }
        self.barred = layout.barred;
        self.teller.catch_up(Instant::now());
        let tracked = || Tracked::read(FOLDER.as_ref());
        if let Some(event) = self.tracking.look(Instant::now(), tracked) {
            (self.report)(&event);
        }
        let peers = self.acquaint(&layout.peers);
        let slots = self.inputs.slots();
        let mut routes = self.table.routes(&slots, layout.pod_host, peers);
        routes.takes_lines = self.config.legacy;
        routes.queue = self.config.queue;
        routes.pods_elsewhere = layout.pod_host != layout.host;
        self.publish(routes, &layout.doors).await;
    }

    /// Gets to know the other proxies: those that can be asked, each in its way.
    fn acquaint(&mut self, addresses: &[SocketAddr]) -> Vec<Peer> {
        let known = self.inputs.peers().iter();
        let known = known.map(|peer| (peer.address, peer.keys.clone()));
        let believed: BTreeMap<_, _> = known.collect();
        let asked = addresses.iter().filter_map(|address| {
            let keys = believed.get(address)?;
            Some((*address, keys.clone()))
        });
        let wanted = Acquaintance {
            keys: self.inputs.key().cloned(),
            asked: asked.collect(),
            believed,
            sealed: self.config.encrypt,
        };
        if let Err(error) = self.peers.know(&wanted) {
            // The keys were read and understood, so this is a mistake of this program.
            (self.report)(&Event::KeysRefused(error.to_string()));
        }
        let (mut peers, mut unknown) = (Vec::new(), BTreeSet::new());
        for address in addresses.iter().copied() {
            match self.peers.link(address) {
                None if !self.config.legacy => drop(unknown.insert(address)),
                link => peers.push(Peer { address, link }),
            }
        }
        if !unknown.is_subset(&self.unknown) {
            (self.report)(&Event::Unknown(unknown.iter().copied().collect()));
        }
        self.unknown = unknown;
        peers
    }

    /// Tells the other proxies what there is, and how busy it is.
    fn offer(&self) {
        self.peers.offer(Offers::of(&self.routes));
    }

    /// Puts new routes in force, opens and closes ports, and tells about it.
    async fn publish(&mut self, routes: Routes, doors: &BTreeMap<SocketAddr, Entrance>) {
        let ports = routes.ports().count();
        let peers = routes.peers.iter().map(|peer| peer.address).collect();
        self.routes = Arc::new(routes);
        // Routes come before ports, so that a new port never lacks its backends.
        self.workers.route(&self.routes);
        self.offer();
        self.listeners.apply(doors, &self.workers).await;
        let listening = self.listeners.listening();
        let relay = listening
            .iter()
            .find(|(_, entrance)| **entrance == Entrance::Relay)
            .map(|(at, _)| *at);
        let new = Status {
            relay,
            cluster_ports: listening
                .into_keys()
                .filter(|at| Some(*at) != relay)
                .collect(),
            failed: self.listeners.failed().clone(),
            mappings: self.inputs.mappings().to_vec(),
            endpoints: self.inputs.endpoints().to_vec(),
            peers,
            config_reads: self.config_reads,
        };
        let old = self.status.borrow().clone();
        let is_same = old.mappings == new.mappings && old.endpoints == new.endpoints;
        if !is_same || old.peers != new.peers {
            (self.report)(&Event::Routes {
                ports,
                peers: new.peers.len(),
            });
        }
        if old != new {
            self.status.send_replace(new);
        }
    }

    /// Goes on with the connections that another program has carried, and only with these.
    pub(crate) fn thaw_to_serve_out(&mut self, frozen: Frozen) -> io::Result<()> {
        self.serves_out = true;
        self.thaw(frozen)
    }

    /// Goes on with what another program has carried.
    pub(crate) fn thaw(&mut self, mut frozen: Frozen) -> io::Result<()> {
        let state = frozen.open()?;
        let descriptors = &mut frozen.descriptors;
        if !self.serves_out {
            self.listeners.thaw(state.doors, descriptors)?;
        }
        self.reception.thaw(state.guests);
        let mut thaw = Thaw {
            descriptors,
            table: &mut self.table,
            patience: self.patience,
            now: Instant::now(),
        };
        let connections = state.connections.into_iter();
        self.thawed = connections
            .map(|connection| Connection::thaw(connection, &mut thaw))
            .collect::<io::Result<_>>()?;
        Ok(())
    }

    /// Puts everything to rest, and ends all that was started.
    async fn freeze(self) -> io::Result<Frozen> {
        let mut descriptors = Descriptors::default();
        // Whoever is greeted now would be lost.
        self.reception.close();
        drop(self.peers);
        let connections = self.workers.freeze().await;
        let doors = self.listeners.freeze(&mut descriptors)?;
        let guests = self.reception.freeze();
        let now = Instant::now();
        let frozen = connections
            .into_iter()
            .filter_map(|connection| connection.freeze(&mut descriptors, now));
        let state = State {
            connections: frozen.collect(),
            doors,
            guests,
        };
        let frozen = Frozen::new(&state, descriptors);
        // The kernel takes a while to forget the sockets that a worker has watched, and each worker has it do so by itself.
        drop((self.workers, self.routes, self.window));
        self.table.end();
        frozen
    }

    /// Takes no more connections, and waits for the open ones as long as proxy.conf says.
    async fn end(mut self) {
        if self.routes.peers.iter().any(|peer| peer.link.is_some()) {
            self.peers.offer(Offers {
                draining: true,
                ..Offers::default()
            });
            sleep(HEARD_IN).await;
        }
        self.listeners.apply(&BTreeMap::new(), &self.workers).await;
        let left = self.workers.open();
        if left > 0 {
            (self.report)(&Event::Draining(left));
        }
        if timeout(self.config.drain, self.workers.drained(true))
            .await
            .is_err()
        {
            (self.report)(&Event::Cut(self.workers.open()));
            self.workers.cut().await;
        }
        self.teller.finish(Instant::now());
    }
}
