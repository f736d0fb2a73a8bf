//! Finds a backend for one client: on this host first, then on the others.
//!
//! Follows the orders of `route`, tells what failed, and remembers who answered and what other hosts said. Whoever
//! has not answered after a while is not given up, but the next one is tried beside it, and the first to answer
//! serves. It must not touch the client's own bytes.

mod attempt;
mod begin;
mod entering;
mod order;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::attempt::{Attempt, Choice, Progress};
use self::entering::Entering;
use crate::opening::Manner;
use crate::route::{self, Load};
use crate::socket::Socket;
use crate::table::{Lease, Routes};
use crate::tools::{Key, Side, Tools};

/// How long to dial a backend on this host, or another proxy.
const DIAL_MAX: Duration = Duration::from_secs(1);

/// How long one that has not answered is waited for alone.
const HEDGE_AFTER: Duration = Duration::from_millis(50);

/// How long until one is tried again to which there was no way yet, while another one does not answer.
const LATER_AFTER: Duration = Duration::from_millis(10);

/// A connected backend.
pub(crate) struct Target {
    pub(crate) socket: Socket,
    /// What it says about PROXY headers.
    pub(crate) manner: Manner,
    /// What it has said already.
    pub(crate) first: Vec<u8>,
    /// Its place, when it is on this host.
    pub(crate) lease: Option<Lease>,
    /// How much of what the client has said it has already, when it is behind another proxy that sees to the
    /// client's first bytes.
    pub(crate) forwarded: Option<usize>,
}

/// Why there is no backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// There are some, and those that could be reached are full.
    Busy,
    /// A way to one will be there soon, or it will be known soon whether there is one.
    Soon,
    /// None answers.
    Nothing,
}

/// How far dialling has come.
pub(crate) enum Dialled {
    Waits,
    Reached(Target),
    Missed(Missed),
}

/// The search for one client.
pub(crate) struct Dialling {
    port: u16,
    routes: Arc<Routes>,
    /// What is still to be tried, the next one last.
    left: Vec<Choice>,
    /// Backends of other hosts count as well, and were not thought of yet.
    may_leave: bool,
    /// Those that are being dialled, the earlier one first; two at most.
    attempts: Vec<Attempt>,
    /// Backends that are reached inside only, where no socket was at hand.
    entering: Vec<Entering>,
    /// Those to which there will be a way soon, and when to try them again.
    later: Vec<Choice>,
    later_at: Option<Instant>,
    missed: Missed,
    /// It is known what there is.
    is_begun: bool,
    /// One was dialled already.
    has_begun: bool,
}

impl Dialling {
    /// Looks for a backend of this cluster port. `may_leave` is false for a client of another proxy, which looks
    /// at the other hosts itself.
    pub(crate) fn new(port: u16, may_leave: bool, tools: &mut Tools) -> Self {
        let routes = Arc::clone(&tools.routes);
        let slots = routes.slots(port);
        let mut left: Vec<Choice> = match slots {
            [_] => vec![Choice::Slot(0)],
            _ => {
                let now_ms = tools.now_ms();
                let loads: Vec<Load> = slots.iter().map(|slot| slot.load(now_ms)).collect();
                let order = route::backends(&loads, &mut |count| tools.random.below(count));
                order.into_iter().map(Choice::Slot).collect()
            }
        };
        left.reverse();
        let mut dialling = Self {
            port,
            routes,
            left,
            may_leave,
            attempts: Vec::new(),
            entering: Vec::new(),
            later: Vec::new(),
            later_at: None,
            missed: Missed::Nothing,
            is_begun: true,
            has_begun: false,
        };
        if may_leave && dialling.is_overloaded() {
            dialling.leave(tools);
        }
        dialling
    }

    /// The same, once it is known what there is: for a client that was at rest.
    pub(crate) fn anew(port: u16, may_leave: bool) -> Self {
        Self {
            port,
            routes: Arc::default(),
            left: Vec::new(),
            may_leave,
            attempts: Vec::new(),
            entering: Vec::new(),
            later: Vec::new(),
            later_at: None,
            missed: Missed::Nothing,
            is_begun: false,
            has_begun: false,
        }
    }

    /// Whether somebody who has not answered may have heard what the client has said.
    pub(crate) fn has_forwarded(&self) -> bool {
        self.attempts.iter().any(Attempt::has_forwarded)
    }

    /// The socket that is being dialled on that side.
    pub(crate) fn socket(&mut self, side: Side) -> Option<&mut Socket> {
        let attempt = self
            .attempts
            .iter_mut()
            .find(|attempt| attempt.side == side);
        attempt.map(|attempt| &mut attempt.socket)
    }

    /// The place and the address of the one that is being dialled, the latest one of two.
    pub(crate) fn target(&self) -> Option<(Option<&Lease>, SocketAddr)> {
        let attempt = self.attempts.last()?;
        Some((attempt.lease.as_ref(), attempt.address))
    }

    /// When to go on although nothing has happened.
    pub(crate) fn until(&self) -> Option<Instant> {
        let until = self.attempts.iter().map(|attempt| attempt.until).min();
        let looks = self.entering.iter().map(|entering| entering.look_at);
        let all = until.into_iter().chain(self.hedge_at()).chain(looks);
        all.chain(self.later_at).min()
    }

    /// When to try the next one beside the one that does not answer.
    fn hedge_at(&self) -> Option<Instant> {
        let may_try = self.may_leave || !self.left.is_empty();
        match self.attempts.as_slice() {
            [one] if one.may_be_overtaken() && may_try => Some(one.began + HEDGE_AFTER),
            // Whoever can be dialled at once is; for another host it is left only after a while.
            [] if may_try => self.entering.first().map(|entering| {
                let alone = if self.left.is_empty() {
                    HEDGE_AFTER
                } else {
                    Duration::ZERO
                };
                entering.began + alone
            }),
            _ => None,
        }
    }

    /// Whether what the client says may be passed on before anybody has answered: to one at most, so that nobody
    /// ever hears twice what was said once.
    pub(crate) fn forwards(&self) -> bool {
        matches!(self.attempts.as_slice(), [one] if one.forwards())
    }

    /// Goes on as far as possible. `said` is what the client has said so far, `who` tells who it is and where it
    /// is connected to.
    pub(crate) fn advance(
        &mut self,
        key: Key,
        tools: &mut Tools,
        said: &[u8],
        who: impl Fn() -> io::Result<(SocketAddr, SocketAddr)>,
    ) -> Dialled {
        if !self.is_begun {
            *self = Self::new(self.port, self.may_leave, tools);
        }
        if self.later_at.is_some_and(|at| tools.now >= at) {
            self.later_at = None;
            self.left.append(&mut self.later);
        }
        loop {
            if let Some((attempt, progress)) = self.progress(tools, said) {
                if !matches!(progress, Progress::Reached { .. }) {
                    // A helper that is being started may hold a copy of it for a moment: closing alone would
                    // not keep words about it from the next one on this side.
                    tools.forget(&attempt.socket);
                }
                if let Progress::Failed(_) = &progress
                    && let Some(other) = attempt.other_way()
                {
                    self.left.push(other);
                    continue;
                }
                let is_lost = attempt.has_forwarded() && matches!(progress, Progress::Failed(_));
                let progress = self.tell_inside(&attempt, progress);
                self.shut_inside(&attempt, &progress);
                attempt.note(&progress, self.port, tools);
                if attempt.lease.is_some() && !matches!(progress, Progress::Reached { .. }) {
                    tools.freed.push(self.port);
                }
                match progress {
                    Progress::Reached { manner, first } => {
                        self.overtaken(tools);
                        let (port, choice, address) = (self.port, attempt.choice, attempt.address);
                        let failure = |error| choice.failure(port, address, error);
                        return match attempt.reached(key, manner, first, tools) {
                            Ok(target) => Dialled::Reached(target),
                            Err(error) => {
                                (tools.report)(&failure(error));
                                Dialled::Missed(Missed::Nothing)
                            }
                        };
                    }
                    Progress::Refused(Missed::Busy) => self.miss(Missed::Busy),
                    // What the client has said may have been heard: it must not be said to anybody else.
                    Progress::Failed(_) if is_lost => return Dialled::Missed(Missed::Nothing),
                    Progress::Refused(_) | Progress::Failed(_) | Progress::Waits => {}
                }
                continue;
            }
            if let Some(entered) = self.enter(tools) {
                self.dial_inside(entered, key, tools);
                continue;
            }
            let is_busy = !self.attempts.is_empty() || !self.entering.is_empty();
            let hedges = self.hedge_at().is_some_and(|at| tools.now >= at);
            if is_busy && !hedges {
                return Dialled::Waits;
            }
            match self.next(tools) {
                Some(choice) => self.begin(choice, key, tools, &who),
                None if is_busy => return Dialled::Waits,
                None => return Dialled::Missed(self.missed),
            }
        }
    }

    /// Whether one of those that are being dialled is a backend of this host.
    pub(crate) fn has_place(&self) -> bool {
        !self.entering.is_empty() || self.attempts.iter().any(|attempt| attempt.lease.is_some())
    }

    /// Another one was faster: whoever has said nothing for so long does not answer.
    fn overtaken(&mut self, tools: &mut Tools) {
        // Nothing is known of those that are still being entered, but they give their places back.
        tools
            .freed
            .extend(self.entering.drain(..).map(|_| self.port));
        for attempt in self.attempts.drain(..) {
            tools.forget(&attempt.socket);
            if let Some(lease) = &attempt.lease {
                if tools.now >= attempt.began + HEDGE_AFTER {
                    let late = Progress::Failed(io::ErrorKind::TimedOut.into());
                    attempt.note_health(&late, lease, self.port, tools);
                }
                tools.freed.push(self.port);
            }
        }
    }

    /// An attempt that has come to an end, and how.
    fn progress(&mut self, tools: &Tools, said: &[u8]) -> Option<(Attempt, Progress)> {
        let said = if self.forwards() { said } else { &[] };
        for place in 0..self.attempts.len() {
            let attempt = self.attempts.get_mut(place)?;
            match attempt.advance(tools.now, said) {
                Progress::Waits => {}
                progress => return Some((self.attempts.remove(place), progress)),
            }
        }
        None
    }

    /// Counts second choices. The same backend from outside is none, nor is the same proxy once more.
    fn count(&mut self, choice: Choice, tools: &Tools) {
        let again = std::mem::replace(&mut self.has_begun, true);
        if again && !matches!(choice, Choice::Outside(_) | Choice::Anew(_)) {
            let hedges = !self.attempts.is_empty();
            tools.board.dialled_again(self.port, hedges);
        }
    }
}
