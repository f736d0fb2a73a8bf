//! How a pair looks from outside.

use std::net::SocketAddr;

use rustix::net::getpeername;

use super::{Pair, Phase};
use crate::flow::Moved;
use crate::table::Lease;

impl Pair {
    /// Whether one of its directions is a long stream now.
    pub(crate) fn is_long(&self) -> bool {
        self.up.is_long() || self.down.is_long()
    }

    /// How much it has moved, up and down.
    pub(crate) fn moved(&self) -> [Moved; 2] {
        [self.up.moved(), self.down.moved()]
    }

    /// Whether one of the two has said all, or has left.
    pub(crate) fn is_closing(&self) -> bool {
        !self.up_runs || !self.down_runs || !matches!(self.phase, Phase::Both)
    }

    /// Its place at a backend of this host.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Where its server is, as it was dialled.
    pub(crate) fn server_address(&self) -> Option<SocketAddr> {
        let address = getpeername(&self.server).ok()??;
        SocketAddr::try_from(address).ok()
    }
}
