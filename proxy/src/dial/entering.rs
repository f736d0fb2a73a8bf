//! A backend without a host port, of which no socket inside was at hand: one is being made, and the client waits for
//! it. Meanwhile others are dialled.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::Choice;
use super::{DIAL_MAX, Dialling};
use crate::event::Event;
use crate::inside::Pool;
use crate::opening::Manner;
use crate::table::{Lease, Slot};
use crate::tools::Tools;

/// How often a pool that was empty is looked into: about as long as it takes to make a socket.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// One such backend.
pub(super) struct Entering {
    index: usize,
    lease: Lease,
    pool: Option<Arc<Pool>>,
    pod: String,
    manner: Manner,
    pub(super) began: Instant,
    /// When to look again.
    pub(super) look_at: Instant,
}

/// Somebody who can be dialled.
pub(super) struct Entered {
    pub(super) choice: Choice,
    pub(super) address: SocketAddr,
    pub(super) lease: Option<Lease>,
    pub(super) manner: Manner,
    /// From where; from the network of the proxy when there is none.
    pub(super) socket: Option<OwnedFd>,
}

/// The address of a port in every network.
pub(super) fn inside_at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// What a pod is called in messages.
pub(super) fn name(pod: Option<&str>) -> String {
    pod.map_or_else(|| "a pod".to_owned(), |pod| format!("pod {pod}"))
}

impl Entering {
    pub(super) fn new(index: usize, slot: &Slot, lease: Lease, now: Instant) -> Self {
        Self {
            index,
            lease,
            pool: slot.inside().cloned(),
            pod: name(slot.pod.as_deref()),
            manner: slot.manner(),
            began: now,
            look_at: now,
        }
    }

    /// A socket, if there is one now; an error when there will be none.
    fn look(&mut self, now: Instant) -> Result<Option<OwnedFd>, String> {
        let Some(pool) = &self.pool else {
            return Err("this proxy enters no networks".to_owned());
        };
        self.look_at = now + LOOK_EVERY;
        if let Some(socket) = pool.take() {
            return Ok(Some(socket));
        }
        match pool.closed() {
            Some(why) => Err(why.to_string()),
            None if now >= self.began + DIAL_MAX => {
                Err("its network could not be entered in time".to_owned())
            }
            None => Ok(None),
        }
    }

    fn port(&self) -> u16 {
        self.pool.as_ref().map_or(0, |pool| pool.place.port)
    }
}

impl Dialling {
    /// The next backend that was entered, while there is room for an attempt. Those that cannot be are told, and given
    /// up.
    pub(super) fn enter(&mut self, tools: &mut Tools) -> Option<Entered> {
        if self.attempts.len() > 1 {
            return None;
        }
        let mut place = 0;
        while let Some(entering) = self.entering.get_mut(place) {
            let looked = if tools.now >= entering.look_at {
                entering.look(tools.now)
            } else {
                Ok(None)
            };
            if let Ok(None) = looked {
                place += 1;
                continue;
            }
            let entering = self.entering.remove(place);
            let address = inside_at(entering.port());
            match looked {
                Ok(socket) => {
                    return Some(Entered {
                        choice: Choice::Slot(entering.index),
                        address,
                        lease: Some(entering.lease),
                        manner: entering.manner,
                        socket,
                    });
                }
                Err(why) => self.give_up(&entering, address, &why, tools),
            }
        }
        None
    }

    fn give_up(&self, entering: &Entering, address: SocketAddr, why: &str, tools: &mut Tools) {
        let text = format!("{} has no host port, and {why}", entering.pod);
        let error = io::Error::other(text);
        (tools.report)(&Event::BackendFailed(self.port, address, error));
        if let Some(time) = entering.lease.health().failed(tools.now_ms()) {
            (tools.report)(&Event::Ejected(self.port, address, time));
        }
        tools.freed.push(self.port);
    }
}
