//! What was chosen is begun.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::attempt::{Attempt, Choice};
use super::entering::{Entered, Entering};
use super::{Dialling, Missed, order};
use crate::health::Standing;
use crate::table::{Lease, Slot};
use crate::tools::{Key, Side, Tools};

impl Dialling {
    pub(super) fn begin(
        &mut self,
        choice: Choice,
        key: Key,
        tools: &mut Tools,
        who: impl Fn() -> io::Result<(SocketAddr, SocketAddr)>,
    ) {
        let routes = Arc::clone(&self.routes);
        let begun = match choice {
            Choice::Slot(index) | Choice::Outside(index) => {
                let Some(slot) = routes.slots(self.port).get(index) else {
                    return;
                };
                let Some(lease) = self.begin_slot(choice, slot, tools) else {
                    return;
                };
                let way = slot.inside().filter(|_| matches!(choice, Choice::Slot(_)));
                let inside = way.and_then(|pool| Some((pool.place.port, pool.take()?)));
                if inside.is_none() && slot.target.is_none() {
                    let entering = Entering::new(index, slot, lease, tools.now);
                    return self.entering.push(entering);
                }
                Attempt::slot(choice, slot, lease, inside, routes.pods_elsewhere, tools)
            }
            Choice::Peer(index) | Choice::Anew(index) => {
                let Some(peer) = routes.peers.get(index) else {
                    return;
                };
                match Attempt::peer(choice, peer, self.port, who, tools) {
                    Ok(Some(attempt)) => Ok(attempt),
                    Ok(None) => return self.try_later(choice, tools),
                    Err(error) => Err((peer.address, error)),
                }
            }
        };
        self.watch(choice, begun, key, tools);
    }

    /// Dials a backend inside, now that there is a socket for it.
    pub(super) fn dial_inside(&mut self, entered: Entered, key: Key, tools: &mut Tools) {
        let routes = Arc::clone(&self.routes);
        let Entered {
            index,
            lease,
            inside,
        } = entered;
        if let Some(slot) = routes.slots(self.port).get(index) {
            let choice = Choice::Slot(index);
            let inside = Some(inside);
            let begun = Attempt::slot(choice, slot, lease, inside, routes.pods_elsewhere, tools);
            self.watch(choice, begun, key, tools);
        }
    }

    /// Waits for what becomes of an attempt.
    fn watch(
        &mut self,
        choice: Choice,
        begun: Result<Attempt, (SocketAddr, io::Error)>,
        key: Key,
        tools: &mut Tools,
    ) {
        // The side that the other attempt does not have.
        let side = match self.attempts.as_slice() {
            [other] if other.side == Side::Server => Side::Second,
            _ => Side::Server,
        };
        let watched = begun.and_then(|mut attempt| {
            attempt.side = side;
            let watched = tools.watch(&attempt.socket, key, side);
            watched
                .map_err(|error| (attempt.address, error))
                .map(|()| attempt)
        });
        if watched.is_ok() {
            self.count(choice, tools);
        }
        match watched {
            Ok(attempt) => self.attempts.push(attempt),
            // Not the backend's fault: the system has no port or no descriptor left.
            Err((address, error)) => {
                if order::is_scarce(&error) {
                    self.miss(Missed::Soon);
                }
                (tools.report)(&choice.failure(self.port, address, error));
            }
        }
    }

    /// A place at a backend of this host, unless it is full or has to be tried by somebody else.
    fn begin_slot(&mut self, choice: Choice, slot: &Slot, tools: &Tools) -> Option<Lease> {
        let Some(lease) = slot.lease() else {
            self.miss(Missed::Busy);
            return None;
        };
        let now_ms = tools.now_ms();
        if lease.health().standing(now_ms) == Standing::Due && !lease.health().try_it(now_ms) {
            // Somebody else tries it for all, just now: it comes last again.
            self.left.insert(0, choice);
            return None;
        }
        Some(lease)
    }
}
