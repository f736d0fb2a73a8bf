//! A running proxy: one task that owns the settings, the files and the ports, and decides when to look
//! again.
//!
//! Everything that can wake it is in `Wake`. It must not carry bytes: connections run on their own and
//! see only the routes that this task publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostfiles::{Endpoint, PortMapping};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::Patience;
use crate::config::{Config, Problem, beside};
use crate::connection::Entrance;
use crate::doors::Layout;
use crate::event::{Event, FileNews, Reporter};
use crate::inputs::Inputs;
use crate::inside::Inside;
use crate::listen::Listeners;
use crate::quota::Teller;
use crate::table::{Routes, Table};
use crate::watch::FileWatch;
use crate::workers::Workers;

/// How long until a port that cannot be opened is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Why a proxy.conf could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The proxy.conf.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file says something that cannot be.
    #[error("{}", shown(path, problems))]
    Refused {
        /// The proxy.conf.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
}

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its proxy.conf is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gives it no thread, or no descriptor.
    #[error("cannot start the workers of the proxy")]
    Workers(#[source] std::io::Error),
}

fn shown(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| problem.at(path)).collect();
    lines.join("\n")
}

/// Reads a proxy.conf.
///
/// # Errors
/// The file cannot be read, or is wrong somewhere.
pub fn read_config(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Config::parse(&text).map_err(|problems| ConfigError::Refused {
        path: path.to_owned(),
        problems,
    })
}

/// What a proxy does right now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The open ports of the proxies' own talk.
    pub relay: Option<SocketAddr>,
    /// The open cluster ports.
    pub cluster_ports: BTreeSet<SocketAddr>,
    /// The ports that cannot be opened, and why.
    pub failed: BTreeMap<SocketAddr, String>,
    /// The mappings that were read.
    pub mappings: Vec<PortMapping>,
    /// What endpoints.conf says, of whose cluster ports no mapping is routed by.
    pub endpoints: Vec<Endpoint>,
    /// The proxies of the other hosts.
    pub peers: Vec<SocketAddr>,
    /// How many times proxy.conf was read, with or without success.
    pub config_reads: u64,
}

/// A proxy that runs until it is stopped.
pub struct Proxy {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
    task: JoinHandle<()>,
}

/// What the owner of a proxy wants.
enum Order {
    Reload,
    Stop,
}

impl Proxy {
    /// Starts a proxy in the current tokio runtime. `helper` is the program that enters the networks of pods: it
    /// has to do what [`simplenetes_reach::serve()`] says. Without one all pods are dialled at their host ports.
    ///
    /// # Errors
    /// The proxy.conf cannot be used, or the system has no room. Anything else is reported, and tried until it
    /// works.
    pub fn start(
        conf: &Path,
        helper: Option<PathBuf>,
        patience: Patience,
        report: Reporter,
    ) -> Result<Self, StartError> {
        let config = read_config(conf)?;
        let teller = Arc::new(Teller::new(report, patience.ten_warnings_in));
        let (orders, orders_in) = mpsc::channel(4);
        let (status_out, status) = watch::channel(Status::default());
        let inside = Inside::start(helper);
        let keeper = Keeper::new(
            conf.to_owned(),
            config,
            inside,
            patience,
            teller,
            status_out,
        )
        .map_err(StartError::Workers)?;
        Ok(Self {
            orders,
            status,
            task: tokio::spawn(keeper.run(orders_in)),
        })
    }

    /// Reads proxy.conf again, and all other files; open connections stay.
    pub async fn reload(&self) {
        // A proxy that has ended reads nothing.
        let _ = self.orders.send(Order::Reload).await;
    }

    /// What the proxy does, now and in future.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Returns when the proxy has ended by itself: one of its workers has died of a mistake in this program, which
    /// was told. Connections of that worker are lost; whoever runs the proxy should start another one.
    pub async fn lost(&mut self) {
        // A panic is an end as well.
        let _ = (&mut self.task).await;
    }

    /// Closes all ports, gives the open connections the time that proxy.conf says, resets the rest.
    pub async fn stop(self) {
        let _ = self.orders.send(Order::Stop).await;
        let _ = self.task.await;
    }
}

/// Everything that can wake the keeper.
enum Wake {
    /// The files may have changed, or it is time to look.
    Look,
    /// proxy.conf is to be read again.
    Reload,
    /// The proxy is to end.
    Stop,
}

/// Owns what changes while a proxy runs.
struct Keeper {
    conf: PathBuf,
    config: Config,
    inputs: Inputs,
    table: Table,
    workers: Workers,
    listeners: Listeners,
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
}

impl Keeper {
    fn new(
        conf: PathBuf,
        config: Config,
        inside: Inside,
        patience: Patience,
        teller: Arc<Teller>,
        status: watch::Sender<Status>,
    ) -> std::io::Result<Self> {
        let told = Arc::clone(&teller);
        let report: Reporter = Arc::new(move |event| told.tell(event, Instant::now()));
        let changed = Arc::new(Notify::new());
        Ok(Self {
            conf,
            config,
            inputs: Inputs::default(),
            table: Table::with_ways(inside),
            workers: Workers::start(&report, patience)?,
            listeners: Listeners::new(Arc::clone(&report)),
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

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            self.look().await;
            if self.workers.is_incomplete() {
                return (self.report)(&Event::WorkerLost);
            }
            match self.next(&mut orders).await {
                Wake::Look => {}
                Wake::Reload => self.reload(),
                Wake::Stop => return self.end().await,
            }
        }
    }

    async fn next(&self, orders: &mut mpsc::Receiver<Order>) -> Wake {
        let pause = if self.listeners.failed().is_empty() {
            self.patience.look_every
        } else {
            RETRY_EVERY
        };
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Reload) => Wake::Reload,
                Some(Order::Stop) | None => Wake::Stop,
            },
            () = self.changed.notified() => Wake::Look,
            () = sleep(pause) => Wake::Look,
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
        let hosts = beside(&self.conf, &self.config.hosts_conf);
        let mappings = beside(&self.conf, &self.config.ports_conf);
        let ports = self
            .config
            .cluster_ports_conf
            .as_ref()
            .map(|path| beside(&self.conf, path));
        let endpoints = self
            .config
            .endpoints_conf
            .as_ref()
            .map(|path| beside(&self.conf, path));
        // First watch, then read: a change in between is seen twice rather than never.
        let mut followed = vec![hosts.as_path(), mappings.as_path()];
        followed.extend(ports.as_deref());
        followed.extend(endpoints.as_deref());
        self.files.follow(&followed);
        self.inputs.refresh(
            &hosts,
            &mappings,
            ports.as_deref(),
            endpoints.as_deref(),
            &self.report,
        );
        let layout = Layout::new(&self.config, &self.inputs);
        if layout.host.is_none() && !self.homeless {
            (self.report)(&Event::NoAddress);
        }
        self.homeless = layout.host.is_none();
        if !layout.barred.is_subset(&self.barred) {
            (self.report)(&Event::Barred(layout.barred.iter().copied().collect()));
        }
        self.barred = layout.barred;
        self.teller.catch_up(Instant::now());
        let slots = self.inputs.slots();
        let mut routes = self.table.routes(&slots, layout.pod_host, layout.peers);
        routes.queue = self.config.queue;
        routes.pods_elsewhere = layout.pod_host != layout.host;
        self.publish(routes, &layout.doors).await;
    }

    /// Puts new routes in force, opens and closes ports, and tells about it.
    async fn publish(&mut self, routes: Routes, doors: &BTreeMap<SocketAddr, Entrance>) {
        let (ports, peers) = (routes.ports().count(), routes.peers.clone());
        // Routes come before ports, so that a new port never lacks its backends.
        self.workers.route(&Arc::new(routes));
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

    /// Takes no more connections, and waits for the open ones as long as proxy.conf says.
    async fn end(mut self) {
        self.listeners.apply(&BTreeMap::new(), &self.workers).await;
        let left = self.workers.open();
        if left > 0 {
            (self.report)(&Event::Draining(left));
        }
        if timeout(self.config.drain, self.workers.drained())
            .await
            .is_err()
        {
            (self.report)(&Event::Cut(self.workers.open()));
            self.workers.cut().await;
        }
        self.teller.finish(Instant::now());
    }
}
