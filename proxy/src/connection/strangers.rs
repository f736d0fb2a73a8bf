//! Connections at the port for proxies before anything was asked on them.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::{Connection, Stage};
use crate::socket::Socket;

impl Connection {
    /// One that another proxy has opened over TLS, after it has proved itself.
    pub(crate) fn sealed(client: Socket, from: SocketAddr, now: Instant) -> Self {
        Self {
            port: 0,
            from,
            destination: None,
            began: now,
            client,
            stage: Stage::Asked(Box::default()),
        }
    }

    /// The client's socket and where it comes from, for somebody else.
    pub(crate) fn into_stranger(self) -> (OwnedFd, SocketAddr) {
        (self.client.into_fd(), self.from)
    }

    /// Whether nothing was asked on it yet, by one who may.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(&self.stage, Stage::Asked(asked) if asked.is_ready())
    }
}
