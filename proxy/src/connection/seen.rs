//! How a connection looks from outside.

use std::time::Instant;

use super::{Connection, Stage};
use crate::flow::Moved;
use crate::metrics::connections::{Row, State, pod_of};
use crate::table::{Lease, Routes, Slot};

impl Connection {
    /// How much it has moved, up and down.
    pub(crate) fn moved(&self) -> [Moved; 2] {
        match &self.stage {
            Stage::Joined(pair) => pair.moved(),
            Stage::Asked(_) | Stage::Dialling(_) | Stage::Queued(..) => Default::default(),
        }
    }

    /// When it was accepted.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// What is shown of it.
    pub(crate) fn row(&self, now: Instant, routes: &Routes) -> Row {
        let (state, lease, address) = match &self.stage {
            Stage::Asked(_) => (State::Asked, None, None),
            Stage::Queued(..) => (State::Queued, None, None),
            Stage::Dialling(search) => {
                let (lease, address) = search.dialling.target().unzip();
                (State::Dialling, lease.flatten(), address)
            }
            Stage::Joined(pair) if pair.is_closing() => {
                (State::Closing, pair.lease(), pair.server_address())
            }
            Stage::Joined(pair) => (State::Joined, pair.lease(), pair.server_address()),
        };
        // A backend is known by its host port, also where it was reached inside.
        let is_its = |lease: &Lease| {
            let slots = routes.slots(self.port);
            slots.iter().find(|slot| slot.gave(lease))
        };
        let slot = lease.and_then(is_its);
        let [up, down] = self.moved();
        Row {
            client: self.from,
            cluster_port: self.port,
            backend: slot.map(Slot::name).or(address),
            pod: slot.and_then(pod_of),
            age: now.saturating_duration_since(self.began),
            up: up.bytes,
            down: down.bytes,
            spliced: up.spliced + down.spliced,
            zero_copy: self.is_long(),
            state,
        }
    }
}
