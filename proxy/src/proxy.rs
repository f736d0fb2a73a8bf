//! A running proxy, as its owner sees it: it is started, told to reload and to stop, and says what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hostfiles::{Endpoint, PortMapping};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::Patience;
use crate::config::{Config, Problem};
use crate::event::Reporter;
use crate::frozen::Frozen;
use crate::inside::Inside;
use crate::keeper::Keeper;
use crate::metrics::Upgrade;
use crate::quota::Teller;

/// Why a proxy.conf could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The proxy.conf.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
    /// What another program has carried cannot be gone on with.
    #[error("cannot go on with the connections of the program before this one")]
    State(#[source] io::Error),
    /// The system gives it no thread, or no descriptor.
    #[error("cannot start the workers of the proxy")]
    Workers(#[source] io::Error),
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
    upgrades: mpsc::Receiver<Upgrade>,
    task: JoinHandle<()>,
}

/// What a proxy goes on with.
enum Before {
    Nothing,
    All(Frozen),
    Connections(Frozen),
}

/// What the owner of a proxy wants.
pub(crate) enum Order {
    Reload,
    Freeze(oneshot::Sender<io::Result<Frozen>>),
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
        Self::start_with(conf, helper, patience, report, Before::Nothing)
    }

    /// Goes on with what another proxy has carried, see [`Self::freeze`]. The rest is as with [`Self::start`].
    ///
    /// # Errors
    /// As there; or what is at rest was written by a program of another format, or is not whole. Then its connections
    /// are lost.
    pub fn resume(
        conf: &Path,
        helper: Option<PathBuf>,
        patience: Patience,
        report: Reporter,
        frozen: Frozen,
    ) -> Result<Self, StartError> {
        Self::start_with(conf, helper, patience, report, Before::All(frozen))
    }

    /// Serves out the connections that another proxy has carried, see [`Self::freeze`], while a third one has its
    /// ports: this one has none, shows no metrics, and ends when no connection is left or `UPGRADEDRAIN` is over.
    /// Nothing moves before the next time that the runtime has its turn.
    ///
    /// # Errors
    /// As with [`Self::resume`].
    pub fn serve_out(
        conf: &Path,
        helper: Option<PathBuf>,
        patience: Patience,
        report: Reporter,
        frozen: Frozen,
    ) -> Result<Self, StartError> {
        let before = Before::Connections(frozen);
        Self::start_with(conf, helper, patience, report, before)
    }

    fn start_with(
        conf: &Path,
        helper: Option<PathBuf>,
        patience: Patience,
        report: Reporter,
        before: Before,
    ) -> Result<Self, StartError> {
        let config = read_config(conf)?;
        let teller = Arc::new(Teller::new(report, patience.ten_warnings_in));
        let (orders, orders_in) = mpsc::channel(4);
        let (upgrades_out, upgrades) = mpsc::channel(1);
        let (status_out, status) = watch::channel(Status::default());
        let inside = Inside::start(helper);
        let mut keeper = Keeper::new(
            conf.to_owned(),
            config,
            inside,
            patience,
            teller,
            status_out,
            upgrades_out,
        )
        .map_err(StartError::Workers)?;
        let (thawed, serves_out) = match before {
            Before::Nothing => (Ok(()), false),
            Before::All(frozen) => (keeper.thaw(frozen), false),
            Before::Connections(frozen) => (keeper.thaw_to_serve_out(frozen), true),
        };
        thawed.map_err(StartError::State)?;
        let task = match serves_out {
            false => tokio::spawn(keeper.run(orders_in)),
            true => tokio::spawn(keeper.serve_out(orders_in)),
        };
        Ok(Self {
            orders,
            status,
            upgrades,
            task,
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

    /// Waits until somebody at the metrics socket wants that another program goes on. None: the proxy has ended by
    /// itself, because one of its workers has died of a mistake in this program, which was told. Connections of that
    /// worker are lost; whoever runs the proxy should start another one.
    pub async fn upgrade_asked(&mut self) -> Option<Upgrade> {
        tokio::select! {
            asked = self.upgrades.recv() => asked,
            // A panic is an end as well.
            _ = &mut self.task => None,
        }
    }

    /// Waits until the proxy has ended by itself.
    pub async fn ended(&mut self) {
        // A panic is an end as well.
        let _ = (&mut self.task).await;
    }

    /// Puts everything that the proxy carries to rest: no byte moves until another proxy has resumed it, and those
    /// who connect wait in the kernel.
    ///
    /// # Errors
    /// The system has no room for it, or the proxy has ended already; the connections are lost.
    pub async fn freeze(self) -> io::Result<Frozen> {
        let (to, frozen) = oneshot::channel();
        let _ = self.orders.send(Order::Freeze(to)).await;
        let frozen = frozen
            .await
            .map_err(|_| io::Error::other("the proxy has ended"))?;
        // Everything that it has started is gone when it is.
        let _ = self.task.await;
        frozen
    }

    /// Closes all ports, gives the open connections the time that proxy.conf says, resets the rest.
    pub async fn stop(self) {
        let _ = self.orders.send(Order::Stop).await;
        let _ = self.task.await;
    }
}
