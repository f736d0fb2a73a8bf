//! Where a probe connects to: the port of a process that shares the daemon's network, or that port inside
//! the network namespace of its pod, published or not.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use names::SendProxy;
use podspec::Unit;
use simplenetes_reach::{Family, Process, ReachError, Way};
use tokio::net::{TcpSocket, TcpStream};

use crate::process::ProcessId;

/// So long the helper that makes sockets inside a pod may take for each of its answers. It is none of the
/// unit's time.
const HELPER_MAX: Duration = Duration::from_secs(10);

/// Where a unit is reached that knows itself by a port.
#[derive(Debug)]
pub struct Target {
    /// The address that is connected to.
    pub address: SocketAddr,
    /// Which header of the PROXY protocol the unit wants.
    pub send_proxy: SendProxy,
    way: Network,
}

/// In which network the address lies.
#[derive(Debug)]
enum Network {
    /// In that of the daemon.
    Own,
    /// In that of the daemon, because that of the unit may not be entered.
    OwnForClosed,
    /// In that of a pod. A kernel without IPv6 gives no socket for it.
    Pod {
        pod: String,
        v4: OwnedFd,
        v6: Option<OwnedFd>,
    },
}

impl Target {
    /// The unit's port in the daemon's own network.
    ///
    /// A port that is bound to every address is reached at the loopback address; a port that is not
    /// published is assumed to be the process's own.
    #[must_use]
    pub fn outside(unit: &Unit, port: u16, bind: IpAddr) -> Self {
        let exposed = unit
            .expose
            .iter()
            .find(|expose| expose.target_port == Some(port));
        let host_port = exposed
            .and_then(|expose| expose.host_port)
            .map_or(port, names::HostPort::get);
        let interface = exposed
            .and_then(|expose| expose.host_interface)
            .unwrap_or(bind);
        let reachable = if interface.is_unspecified() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            interface
        };
        Self {
            address: SocketAddr::new(reachable, host_port),
            send_proxy: exposed.map(|expose| expose.send_proxy).unwrap_or_default(),
            way: Network::Own,
        }
    }

    #[cfg(test)]
    pub(super) fn of(address: SocketAddr) -> Self {
        Self {
            address,
            send_proxy: SendProxy::None,
            way: Network::Own,
        }
    }

    /// The unit's port inside its pod instead, where its process is in another network namespace. `program`
    /// is the one that is started as the helper. Blocks for a moment.
    ///
    /// # Errors
    /// The process has ended, or nothing can be learnt of it or got from its namespace.
    pub fn or_inside(
        mut self,
        process: ProcessId,
        port: u16,
        pod: String,
        program: &Path,
    ) -> Result<Self, ReachError> {
        let process = Process {
            pid: process.pid,
            start_time: process.start_time,
        };
        match Way::to(process, program, HELPER_MAX)? {
            Way::Here => {}
            Way::Closed => self.way = Network::OwnForClosed,
            Way::Inside(mut door) => {
                let Some(v4) = door.sockets(Family::V4, 1)?.pop() else {
                    return Ok(self);
                };
                let v6 = door
                    .sockets(Family::V6, 1)
                    .ok()
                    .and_then(|mut made| made.pop());
                self.address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                self.way = Network::Pod { pod, v4, v6 };
            }
        }
        Ok(self)
    }

    /// What is tried, as a person would write it: `text` is the address, with what is wanted from it.
    pub(super) fn describe(&self, text: impl fmt::Display) -> String {
        match &self.way {
            Network::Own => text.to_string(),
            Network::OwnForClosed => format!(
                "{text} (in the network of the host: that of the unit can only be entered by another user)"
            ),
            Network::Pod { pod, .. } => format!("{text} inside pod {pod}"),
        }
    }

    pub(super) async fn connect(self) -> io::Result<TcpStream> {
        let address = self.address;
        let Network::Pod { v4, v6, .. } = self.way else {
            return TcpStream::connect(address).await;
        };
        match (dial(v4, address).await, v6) {
            // It may listen at the other loopback address; if not, the first answer is the plainer one.
            (Err(refused), Some(v6)) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                let address = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
                dial(v6, address).await.map_err(|_| refused)
            }
            (dialled, _) => dialled,
        }
    }
}

async fn dial(socket: OwnedFd, address: SocketAddr) -> io::Result<TcpStream> {
    // It is not connected yet, and it does not block: so it was made.
    let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
    socket.connect(address).await
}
