//! Finds a backend for one client: on this host first, then on the others.
//!
//! Follows the orders of `route`, tells what failed, and remembers what other hosts said. It must not touch the
//! client's own bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::header::Header;
use crate::relay::{Answer, Line, parse_answer};
use crate::route::{self, Load, Verdict};
use crate::socket::{Received, Socket};
use crate::table::{Lease, Routes, Slot};
use crate::tools::{Key, Side, Tools};

/// How long to dial a backend on this host, or another proxy.
const DIAL_MAX: Duration = Duration::from_secs(1);

/// How long another proxy may take to answer, as in the original: it tries its backends meanwhile.
const LINE_MAX: Duration = Duration::from_secs(3);

/// How much is read at once while an answer is expected, in bytes.
const READ_BYTES: usize = 4096;

/// A connected backend.
pub(crate) struct Target {
    pub(crate) socket: Socket,
    /// Whether it wants a PROXY header.
    pub(crate) send_proxy: bool,
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
    attempt: Option<Attempt>,
    missed: Missed,
}

#[derive(Debug, Clone, Copy)]
enum Choice {
    /// That of the backends of this host.
    Slot(usize),
    /// The proxy of another host.
    Peer(SocketAddr),
}

/// One of them, being dialled.
struct Attempt {
    choice: Choice,
    address: SocketAddr,
    socket: Socket,
    lease: Option<Lease>,
    send_proxy: bool,
    until: Instant,
    /// What another proxy has answered so far, once it was asked.
    heard: Option<Vec<u8>>,
}

/// How far an attempt has come.
enum Progress {
    Waits,
    Reached { send_proxy: bool, first: Vec<u8> },
    Refused(Missed),
    Failed(io::Error),
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
                let loads: Vec<Load> = slots.iter().map(Slot::load).collect();
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
            attempt: None,
            missed: Missed::Nothing,
        }
    }

    /// The socket that is being dialled.
    pub(crate) fn socket(&mut self) -> Option<&mut Socket> {
        self.attempt.as_mut().map(|attempt| &mut attempt.socket)
    }

    /// When the attempt has taken too long.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.attempt.as_ref().map(|attempt| attempt.until)
    }

    /// Goes on as far as possible. `header` tells the client and the cluster port.
    pub(crate) fn advance(
        &mut self,
        key: Key,
        tools: &mut Tools,
        header: impl Fn() -> io::Result<Header>,
    ) -> Dialled {
        loop {
            let Some(attempt) = &mut self.attempt else {
                let Some(choice) = self.next(tools) else {
                    return Dialled::Missed(self.missed);
                };
                self.begin(choice, key, tools);
                continue;
            };
            let progress = attempt.advance(tools.now, &header);
            if let Progress::Waits = progress {
                return Dialled::Waits;
            }
            let Some(attempt) = self.attempt.take() else {
                continue;
            };
            attempt.note(&progress, self.port, tools);
            match progress {
                Progress::Reached { send_proxy, first } => {
                    return Dialled::Reached(Target {
                        socket: attempt.socket,
                        send_proxy,
                        first,
                        lease: attempt.lease,
                    });
                }
                Progress::Refused(Missed::Busy) => self.missed = Missed::Busy,
                Progress::Refused(Missed::Nothing) | Progress::Failed(_) | Progress::Waits => {}
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
        let (address, lease, send_proxy) = match choice {
            Choice::Peer(peer) => (peer, None, false),
            Choice::Slot(index) => {
                let Some(slot) = self.routes.slots(self.port).get(index) else {
                    return;
                };
                let Some(lease) = slot.lease() else {
                    self.missed = Missed::Busy;
                    return;
                };
                (slot.target, Some(lease), slot.send_proxy)
            }
        };
        let elsewhere = matches!(choice, Choice::Peer(_));
        let dialled = Socket::dial(address, elsewhere)
            .and_then(|socket| tools.watch(&socket, key, Side::Server).map(|()| socket));
        match dialled {
            Ok(socket) => {
                self.attempt = Some(Attempt {
                    choice,
                    address,
                    socket,
                    lease,
                    send_proxy,
                    until: tools.now + DIAL_MAX,
                    heard: None,
                });
            }
            Err(error) => (tools.report)(&choice.failure(self.port, address, error)),
        }
    }
}

impl Choice {
    fn failure(self, port: u16, address: SocketAddr, error: io::Error) -> Event {
        match self {
            Self::Slot(_) => Event::BackendFailed(port, address, error),
            Self::Peer(_) => Event::PeerFailed(port, address, error),
        }
    }
}

impl Attempt {
    fn advance(&mut self, now: Instant, header: impl Fn() -> io::Result<Header>) -> Progress {
        self.try_advance(now, header)
            .unwrap_or_else(Progress::Failed)
    }

    fn try_advance(
        &mut self,
        now: Instant,
        header: impl Fn() -> io::Result<Header>,
    ) -> io::Result<Progress> {
        if self.heard.is_none() {
            match self.socket.dialled(self.address) {
                None => return self.wait(now),
                Some(dialled) => dialled?,
            }
            if let Choice::Slot(_) = self.choice {
                return Ok(Progress::Reached {
                    send_proxy: self.send_proxy,
                    first: Vec::new(),
                });
            }
            let request = header()?.to_string();
            if self.socket.send(request.as_bytes())? < request.len() {
                // A new socket takes more than a line.
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.heard = Some(Vec::new());
            self.until = now + LINE_MAX;
        }
        self.listen(now)
    }

    /// Hears what the other proxy answers.
    fn listen(&mut self, now: Instant) -> io::Result<Progress> {
        let heard = self.heard.get_or_insert_default();
        loop {
            match parse_answer(heard) {
                Line::Whole(Answer::Accepted { send_proxy }, length) => {
                    let first = heard.split_off(length);
                    return Ok(Progress::Reached { send_proxy, first });
                }
                Line::Whole(Answer::Busy, _) => return Ok(Progress::Refused(Missed::Busy)),
                Line::Foreign => return Err(io::ErrorKind::InvalidData.into()),
                Line::Partial => {}
            }
            if !self.socket.is_readable() {
                return self.wait(now);
            }
            let mut buffer = [0; READ_BYTES];
            match self.socket.receive(&mut buffer)? {
                Received::Bytes(count) => {
                    heard.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                Received::Nothing => {}
                Received::End if heard.is_empty() => {
                    return Ok(Progress::Refused(Missed::Nothing));
                }
                Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    fn wait(&self, now: Instant) -> io::Result<Progress> {
        if now >= self.until {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(Progress::Waits)
        }
    }

    /// Remembers and tells what came of it.
    fn note(&self, progress: &Progress, port: u16, tools: &mut Tools) {
        let verdict = match progress {
            Progress::Waits => return,
            Progress::Reached { .. } => Verdict::Served,
            Progress::Refused(Missed::Busy) => Verdict::Busy,
            Progress::Refused(Missed::Nothing) => Verdict::Nothing,
            Progress::Failed(error) => {
                let error = io::Error::new(error.kind(), error.to_string());
                (tools.report)(&self.choice.failure(port, self.address, error));
                Verdict::Unreachable
            }
        };
        if let Choice::Peer(peer) = self.choice {
            tools.memory.note(port, peer, verdict, tools.now);
        }
    }
}
