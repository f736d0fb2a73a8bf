//! Opens and closes ports while the proxy runs.
//!
//! Told which ports are wanted, it opens what is missing and closes what is too much; a port that
//! cannot be opened is reported and tried again the next time. Connections that were taken already
//! outlive their port. This module must not know why a port is wanted.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::connection::{Context, Entrance};
use crate::event::{Event, PortNews};

/// How many connections may wait to be taken, per port; the kernel may allow less.
const BACKLOG: u32 = 4096;

/// Pause after a connection could not be taken (mostly: no file descriptor left), lest the proxy spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The open ports of a proxy.
pub(crate) struct Listeners {
    context: Arc<Context>,
    open: HashMap<(SocketAddr, Entrance), Open>,
    failed: BTreeMap<SocketAddr, String>,
}

/// An open port.
struct Open {
    /// Where it is, which is not what was asked for when that was port 0.
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listeners {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            open: HashMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Makes the open ports equal to the wanted ones, as far as possible.
    pub(crate) async fn apply(&mut self, wanted: &BTreeMap<SocketAddr, Entrance>) {
        let closing: Vec<_> = self
            .open
            .keys()
            .copied()
            .filter(|(address, entrance)| wanted.get(address) != Some(entrance))
            .collect();
        for key in closing {
            self.close(key).await;
        }
        self.failed
            .retain(|address, _| wanted.contains_key(address));
        for (address, entrance) in wanted {
            if !self.open.contains_key(&(*address, *entrance)) {
                self.open(*address, *entrance);
            }
        }
    }

    /// Closes all ports.
    pub(crate) async fn close_all(&mut self) {
        self.apply(&BTreeMap::new()).await;
    }

    /// The ports that are open, by what they are for.
    pub(crate) fn listening(&self) -> BTreeMap<SocketAddr, Entrance> {
        self.open
            .iter()
            .map(|((_, entrance), open)| (open.address, *entrance))
            .collect()
    }

    /// The ports that cannot be opened, and why.
    pub(crate) fn failed(&self) -> &BTreeMap<SocketAddr, String> {
        &self.failed
    }

    fn open(&mut self, wanted: SocketAddr, entrance: Entrance) {
        let opened = bind(wanted).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let report = &self.context.dialler.report;
        match opened {
            Ok((address, listener)) => {
                report(&Event::Port(address, PortNews::Opened));
                self.failed.remove(&wanted);
                let task = tokio::spawn(accept(
                    Arc::clone(&self.context),
                    listener,
                    address,
                    entrance,
                ));
                self.open.insert((wanted, entrance), Open { address, task });
            }
            Err(error) => {
                let why = error.to_string();
                if self.failed.get(&wanted) != Some(&why) {
                    report(&Event::Port(wanted, PortNews::CannotOpen(why.clone())));
                    self.failed.insert(wanted, why);
                }
            }
        }
    }

    /// Returns when the port is free again.
    async fn close(&mut self, key: (SocketAddr, Entrance)) {
        if let Some(open) = self.open.remove(&key) {
            open.task.abort();
            // The answer is always that the task was aborted.
            let _ = open.task.await;
            (self.context.dialler.report)(&Event::Port(open.address, PortNews::Closed));
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Old connections in TIME_WAIT must not keep a restarted proxy from its ports.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Takes connections until it is aborted.
async fn accept(
    context: Arc<Context>,
    listener: TcpListener,
    address: SocketAddr,
    entrance: Entrance,
) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let context = Arc::clone(&context);
                tokio::spawn(async move { context.carry(entrance, stream, from).await });
            }
            // Such a client left before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                (context.dialler.report)(&Event::Port(address, PortNews::CannotAccept(error)));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
