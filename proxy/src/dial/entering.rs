//! Backends inside their networks. One without a host port, of which no socket inside was at hand: one is being made, and the client waits for
//! it. Meanwhile others are dialled.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::{Attempt, Choice, Progress};
use super::{DIAL_MAX, Dialling};
use crate::event::Event;
use crate::inside::Pool;
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
    pub(super) began: Instant,
    /// When to look again.
    pub(super) look_at: Instant,
}

/// Somebody who can be dialled.
pub(super) struct Entered {
    pub(super) index: usize,
    pub(super) lease: Lease,
    /// The port inside, and a socket to dial it from.
    pub(super) inside: (u16, OwnedFd),
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
            match looked {
                Ok(Some(socket)) => {
                    return Some(Entered {
                        index: entering.index,
                        inside: (entering.port(), socket),
                        lease: entering.lease,
                    });
                }
                Ok(None) => {}
                Err(why) => self.give_up(&entering, &why, tools),
            }
        }
        None
    }

    fn give_up(&self, entering: &Entering, why: &str, tools: &mut Tools) {
        let address = inside_at(entering.port());
        let text = format!("{} has no host port, and {why}", entering.pod);
        let error = io::Error::other(text);
        (tools.report)(&Event::BackendFailed(self.port, address, error));
        if let Some(ejection) = entering.lease.health().failed(tools.now_ms()) {
            (tools.report)(&Event::ejected(self.port, address, ejection));
        }
        tools.freed.push(self.port);
    }

    /// An error from inside says whose inside it is: the address is the same in every pod.
    pub(super) fn tell_inside(&self, attempt: &Attempt, progress: Progress) -> Progress {
        match (progress, attempt.choice) {
            (Progress::Failed(error), Choice::Slot(index)) if attempt.is_inside() => {
                let slot = self.routes.slots(self.port).get(index);
                let pod = name(slot.and_then(|slot| slot.pod.as_deref()));
                let text = format!("inside {pod}, which has no host port: {error}");
                Progress::Failed(io::Error::new(error.kind(), text))
            }
            (progress, _) => progress,
        }
    }

    /// Whoever can only be reached from outside is reached from there at once the next time.
    pub(super) fn shut_inside(&self, attempt: &Attempt, progress: &Progress) {
        if let (Choice::Outside(index), Progress::Reached { .. }) = (attempt.choice, progress) {
            let slot = self.routes.slots(self.port).get(index);
            if let Some(pool) = slot.and_then(|slot| slot.inside()) {
                pool.shut();
            }
        }
    }
}
