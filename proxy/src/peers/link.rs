//! What a worker knows of the proxy of another host, and the connections to it that stand ready.
//!
//! Written by the task that talks with that proxy, read by the workers. It must never keep a worker waiting.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hostfiles::PeerKey;
use tokio::sync::Notify;

use super::message::Message;
use super::ticket::{Session, TICKET_BYTES};
use super::view::{Change, Known, View};
use crate::records::Records;

/// How many connections stand ready at first; when there were too few, twice as many the next time.
const SPARES_FIRST: usize = 2;
/// And how many at most; each one over TLS costs a handshake.
const SPARES_MAX: usize = 64;
const SEALED_SPARES_MAX: usize = 16;

/// A connection that the other proxy has let in, and on which nothing was asked yet.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) socket: OwnedFd,
    pub(crate) records: Option<Box<Records>>,
}

/// How to ask the other proxy.
#[derive(Debug)]
pub(crate) enum Way {
    /// On a connection that stands ready.
    Ready(Spare),
    /// On a new one, which begins with this ticket.
    New([u8; TICKET_BYTES]),
    /// When there is one: it is being made.
    Later,
}

/// The other proxy.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    /// What is asked of it goes over TLS.
    sealed: bool,
    state: Mutex<State>,
    /// It has taken what a client has said, and not answered: so it gets no more of that before it has.
    doubted: AtomicBool,
    /// A connection was taken, or was missing.
    pub(super) low: Notify,
}

#[derive(Debug)]
struct State {
    view: View,
    session: Option<Arc<Session>>,
    /// The key by which the other side has proved who it is.
    shown: Option<PeerKey>,
    spares: Vec<Spare>,
    /// How many there should be.
    size: usize,
    /// Workers that wait for one.
    missing: usize,
}

impl Link {
    /// One of which nothing is known, or what was known `before`. If the key that it has shown is still one of `theirs`,
    /// what was opened to it is used on.
    pub(super) fn new(
        address: SocketAddr,
        sealed: bool,
        before: Option<&Self>,
        theirs: &[PeerKey],
    ) -> Self {
        let known = before.map(|before| {
            let mut state = before.state();
            let is_same = state.shown.is_some_and(|shown| theirs.contains(&shown));
            let shown = state.shown.filter(|_| is_same);
            let spares = match is_same && before.sealed == sealed {
                true => std::mem::take(&mut state.spares),
                false => Vec::new(),
            };
            let session = state.session.clone().filter(|_| is_same);
            (state.view.clone(), session, spares, shown)
        });
        let (view, session, spares, shown) = known.unwrap_or_default();
        Self {
            address,
            sealed,
            state: Mutex::new(State {
                view,
                session,
                shown,
                spares,
                size: SPARES_FIRST,
                missing: 0,
            }),
            doubted: AtomicBool::new(before.is_some_and(Self::is_doubted)),
            low: Notify::new(),
        }
    }

    /// What the other host has at a cluster port.
    pub(crate) fn at(&self, port: u16) -> Known {
        self.state().view.at(port)
    }

    /// Whether what a client says may be sent there before it has answered.
    pub(crate) fn is_lively(&self, now: Instant) -> bool {
        !self.is_doubted() && self.state().view.is_lively(now)
    }

    /// It has served a client, or lost one that had said something.
    pub(crate) fn doubt(&self, doubted: bool) {
        self.doubted.store(doubted, Ordering::Relaxed);
    }

    fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// A way to ask it; `ready` ones stand ready, and may have been closed by the other side meanwhile.
    pub(crate) fn way(&self, ready: bool) -> Way {
        let mut state = self.state();
        if ready && let Some(spare) = state.spares.pop() {
            if state.spares.len() < state.size / 2 {
                self.low.notify_one();
            }
            return Way::Ready(spare);
        }
        let Some(session) = state.session.clone() else {
            return Way::Later;
        };
        state.size = (state.size * 2).min(self.most());
        self.low.notify_one();
        if self.sealed {
            state.missing = (state.missing + 1).min(self.most());
            return Way::Later;
        }
        Way::New(session.ticket())
    }

    /// How many connections may stand ready.
    fn most(&self) -> usize {
        if self.sealed {
            SEALED_SPARES_MAX
        } else {
            SPARES_MAX
        }
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// A conversation begins. What stood ready may lead to the program that was there before, which only serves out
    /// what it has.
    pub(super) fn begin(&self, session: Session, shown: PeerKey) {
        let mut state = self.state();
        state.shown = Some(shown);
        state.session = Some(Arc::new(session));
        state.spares.clear();
        state.view.begin();
        self.low.notify_one();
    }

    /// The other proxy has said something.
    pub(super) fn hear(&self, message: Message, now: Instant) -> Change {
        self.state().view.hear(message, now)
    }

    /// When it counts as silent unless it is heard.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        self.state().view.silent_at()
    }

    /// It may have been silent for too long; true when that has just become so. What stood ready is thrown away.
    pub(super) fn look(&self, now: Instant) -> bool {
        let mut state = self.state();
        let silent = state.view.look(now);
        if silent {
            state.session = None;
            state.spares.clear();
        }
        silent
    }

    /// It could not be reached.
    pub(super) fn give_up(&self) {
        self.state().view.give_up();
    }

    /// A ticket for a connection that shall stand ready, when there are too few.
    pub(super) fn lacks(&self) -> Option<[u8; TICKET_BYTES]> {
        let state = self.state();
        let lacks = state.spares.len() < state.size.max(state.missing);
        lacks.then(|| state.session.as_ref().map(|session| session.ticket()))?
    }

    /// One more stands ready; true when a worker waits for it.
    pub(super) fn stock(&self, spare: Spare) -> bool {
        let mut state = self.state();
        state.spares.push(spare);
        let waits = state.missing > 0;
        state.missing = state.missing.saturating_sub(1);
        waits
    }

    /// Nobody has needed one for a while: half of them are let go.
    pub(super) fn shrink(&self) {
        let mut state = self.state();
        state.size = (state.size / 2).max(SPARES_FIRST);
        state.missing = 0;
        let size = state.size;
        state.spares.truncate(size);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
