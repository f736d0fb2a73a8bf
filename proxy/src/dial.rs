//! Finds a backend for one client: on this host first, then on the others.
//!
//! Follows the orders of `route`, tells what failed, and remembers who answered and what other hosts said. Whoever
//! has not answered after a while is not given up, but the next one is tried beside it, and the first to answer
//! serves. It must not touch the client's own bytes.

mod attempt;
mod entering;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::attempt::{Attempt, Choice, Progress};
use self::entering::{Entered, Entering, inside_at};
use crate::header::Header;
use crate::health::Standing;
use crate::opening::Manner;
use crate::route::{self, Load};
use crate::socket::Socket;
use crate::table::{Lease, Routes};
use crate::tools::{Key, Side, Tools};

/// How long to dial a backend on this host, or another proxy.
const DIAL_MAX: Duration = Duration::from_secs(1);

/// How long one that has not answered is waited for alone.
const HEDGE_AFTER: Duration = Duration::from_millis(50);

/// A connected backend.
pub(crate) struct Target {
    pub(crate) socket: Socket,
    /// What it says about PROXY headers.
    pub(crate) manner: Manner,
    /// What it has said already.
    pub(crate) first: Vec<u8>,
    /// Its place, when it is on this host.
    pub(crate) lease: Option<Lease>,
}

/// Why there is no backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// There are some, and those that could be reached are full.
    Busy,
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
    missed: Missed,
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
        Self {
            port,
            routes,
            left,
            may_leave,
            attempts: Vec::new(),
            entering: Vec::new(),
            missed: Missed::Nothing,
        }
    }

    /// The socket that is being dialled on that side.
    pub(crate) fn socket(&mut self, side: Side) -> Option<&mut Socket> {
        let attempt = self
            .attempts
            .iter_mut()
            .find(|attempt| attempt.side == side);
        attempt.map(|attempt| &mut attempt.socket)
    }

    /// When to go on although nothing has happened.
    pub(crate) fn until(&self) -> Option<Instant> {
        let until = self.attempts.iter().map(|attempt| attempt.until).min();
        let looks = self.entering.iter().map(|entering| entering.look_at);
        until.into_iter().chain(self.hedge_at()).chain(looks).min()
    }

    /// When to try the next one beside the one that does not answer.
    fn hedge_at(&self) -> Option<Instant> {
        let may_try = self.may_leave || !self.left.is_empty();
        match self.attempts.as_slice() {
            [one] if one.heard.is_none() && may_try => Some(one.began + HEDGE_AFTER),
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

    /// Goes on as far as possible. `header` tells the client and the cluster port.
    pub(crate) fn advance(
        &mut self,
        key: Key,
        tools: &mut Tools,
        header: impl Fn() -> io::Result<Header>,
    ) -> Dialled {
        loop {
            if let Some((attempt, progress)) = self.progress(tools, &header) {
                if !matches!(progress, Progress::Reached { .. }) {
                    // A helper that is being started may hold a copy of it for a moment: closing alone would
                    // not keep words about it from the next one on this side.
                    tools.forget(&attempt.socket);
                }
                if let (true, Progress::Failed(_)) = (attempt.is_inside, &progress)
                    && self.try_outside(&attempt)
                {
                    continue;
                }
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
                    Progress::Refused(Missed::Busy) => self.missed = Missed::Busy,
                    Progress::Refused(Missed::Nothing) | Progress::Failed(_) | Progress::Waits => {}
                }
                continue;
            }
            if let Some(entered) = self.enter(tools) {
                self.dial(entered, key, tools);
                continue;
            }
            let is_busy = !self.attempts.is_empty() || !self.entering.is_empty();
            let hedges = self.hedge_at().is_some_and(|at| tools.now >= at);
            if is_busy && !hedges {
                return Dialled::Waits;
            }
            match self.next(tools) {
                Some(choice) => self.begin(choice, key, tools),
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
    fn progress(
        &mut self,
        tools: &Tools,
        header: &impl Fn() -> io::Result<Header>,
    ) -> Option<(Attempt, Progress)> {
        for place in 0..self.attempts.len() {
            let attempt = self.attempts.get_mut(place)?;
            match attempt.advance(tools.now, header) {
                Progress::Waits => {}
                progress => return Some((self.attempts.remove(place), progress)),
            }
        }
        None
    }

    /// Nobody listens inside, at least not on the loopback address: the host port leads there too. False where there
    /// is none.
    fn try_outside(&mut self, attempt: &Attempt) -> bool {
        let Choice::Slot(index) = attempt.choice else {
            return false;
        };
        let slot = self.routes.slots(self.port).get(index);
        let has_port = slot.is_some_and(|slot| slot.target.is_some());
        if has_port {
            self.left.push(Choice::Outside(index));
        }
        has_port
    }

    /// An error from inside says whose inside it is: the address is the same in every pod.
    fn tell_inside(&self, attempt: &Attempt, progress: Progress) -> Progress {
        match (progress, attempt.choice) {
            (Progress::Failed(error), Choice::Slot(index)) if attempt.is_inside => {
                let slot = self.routes.slots(self.port).get(index);
                let pod = entering::name(slot.and_then(|slot| slot.pod.as_deref()));
                let text = format!("inside {pod}, which has no host port: {error}");
                Progress::Failed(io::Error::new(error.kind(), text))
            }
            (progress, _) => progress,
        }
    }

    /// Whoever can only be reached from outside is reached from there at once the next time.
    fn shut_inside(&self, attempt: &Attempt, progress: &Progress) {
        if let (Choice::Outside(index), Progress::Reached { .. }) = (attempt.choice, progress) {
            let slot = self.routes.slots(self.port).get(index);
            if let Some(pool) = slot.and_then(|slot| slot.inside()) {
                pool.shut();
            }
        }
    }

    fn next(&mut self, tools: &mut Tools) -> Option<Choice> {
        if self.left.is_empty() && std::mem::take(&mut self.may_leave) {
            let peers = &self.routes.peers;
            let known: Vec<_> = peers
                .iter()
                .map(|peer| tools.memory.recall(self.port, *peer, tools.now))
                .collect();
            let order = route::peers(&known, &mut |count| tools.random.below(count));
            let choices = order.into_iter().filter_map(|index| peers.get(index));
            self.left = choices.copied().map(Choice::Peer).collect();
            self.left.reverse();
        }
        self.left.pop()
    }

    fn begin(&mut self, choice: Choice, key: Key, tools: &mut Tools) {
        let (address, lease, manner, socket) = match choice {
            Choice::Peer(peer) => (peer, None, Manner::default(), None),
            Choice::Slot(index) | Choice::Outside(index) => {
                let Some(slot) = self.routes.slots(self.port).get(index) else {
                    return;
                };
                let Some(lease) = slot.lease() else {
                    self.missed = Missed::Busy;
                    return;
                };
                let now_ms = tools.now_ms();
                if lease.health().standing(now_ms) == Standing::Due
                    && !lease.health().try_it(now_ms)
                {
                    // Somebody else tries it for all, just now: it comes last again.
                    self.left.insert(0, choice);
                    return;
                }
                let way = match choice {
                    Choice::Slot(_) => slot.inside(),
                    Choice::Outside(_) | Choice::Peer(_) => None,
                };
                let inside = way.and_then(|pool| Some((pool.place.port, pool.take()?)));
                let (address, socket) = match (inside, slot.target) {
                    (Some((port, socket)), _) => (inside_at(port), Some(socket)),
                    (None, Some(target)) => (target, None),
                    (None, None) => {
                        let entering = Entering::new(index, slot, lease, tools.now);
                        return self.entering.push(entering);
                    }
                };
                (address, Some(lease), slot.manner(), socket)
            }
        };
        let entered = Entered {
            choice,
            address,
            lease,
            manner,
            socket,
        };
        self.dial(entered, key, tools);
    }

    fn dial(&mut self, entered: Entered, key: Key, tools: &mut Tools) {
        let Entered {
            choice,
            address,
            lease,
            manner,
            socket,
        } = entered;
        // The side that the other attempt does not have.
        let side = match self.attempts.as_slice() {
            [other] if other.side == Side::Server => Side::Second,
            _ => Side::Server,
        };
        let elsewhere = matches!(choice, Choice::Peer(_)) || self.routes.pods_elsewhere;
        let is_inside = socket.is_some();
        let dialled = match socket {
            Some(socket) => Socket::dial_from(socket, address),
            None => Socket::dial(address, elsewhere),
        };
        let dialled = dialled.and_then(|socket| tools.watch(&socket, key, side).map(|()| socket));
        match dialled {
            Ok(socket) => self.attempts.push(Attempt {
                side,
                choice,
                address,
                socket,
                lease,
                is_inside,
                manner,
                began: tools.now,
                until: tools.now + DIAL_MAX,
                heard: None,
            }),
            // Not the backend's fault: the system has no port or no descriptor left.
            Err(error) => (tools.report)(&choice.failure(self.port, address, error)),
        }
    }
}
