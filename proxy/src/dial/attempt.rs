//! One backend, or the proxy of another host, being dialled.

mod begin;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use names::{AcceptProxy, SendProxy};

use super::{DIAL_MAX, Missed, Target};
use crate::event::Event;
use crate::lines::{Answer, LINE_MAX, Line, READ_BYTES, parse_answer};
use crate::metrics;
use crate::opening::Manner;
use crate::peers::link::Link;
use crate::request::Reply;
use crate::route::Verdict;
use crate::socket::{Received, Socket};
use crate::table::Lease;
use crate::tools::{Key, Side, Tools};

/// What is dialled.
#[derive(Debug, Clone, Copy)]
pub(super) enum Choice {
    /// That of the backends of this host, from inside where there is a way in.
    Slot(usize),
    /// The same at its host port.
    Outside(usize),
    /// The proxy of that of the other hosts, over a connection that stands ready where there is one.
    Peer(usize),
    /// The same over a new connection.
    Anew(usize),
}

impl Choice {
    pub(super) fn failure(self, port: u16, address: SocketAddr, error: io::Error) -> Event {
        match self {
            Self::Slot(_) | Self::Outside(_) => Event::BackendFailed(port, address, error),
            Self::Peer(_) | Self::Anew(_) => Event::PeerFailed(port, address, error),
        }
    }
}

/// What is said to the one that is dialled.
#[derive(Debug)]
enum Talk {
    /// Nothing: it is a backend.
    Backend { manner: Manner, is_inside: bool },
    /// This line, to a proxy that speaks the original's protocol.
    Line(Vec<u8>),
    /// This request, and what the client says behind it: so much was sent of that.
    Request(Vec<u8>, usize),
}

/// One of them, being dialled.
pub(super) struct Attempt {
    pub(super) side: Side,
    pub(super) choice: Choice,
    pub(super) address: SocketAddr,
    /// As it is known outside: the host port of a backend, also where it is dialled inside.
    pub(super) backend: SocketAddr,
    pub(super) socket: Socket,
    pub(super) lease: Option<Lease>,
    /// It goes into the network of the pod, or over a connection that stood ready: if that fails there is another
    /// way.
    has_other_way: bool,
    talk: Talk,
    is_connected: bool,
    /// It takes what the client says before it has answered: it lives, as far as anybody knows.
    is_lively: bool,
    /// What is known of the other proxy.
    link: Option<Arc<Link>>,
    pub(super) began: Instant,
    pub(super) until: Instant,
    /// What another proxy has answered so far, once it was asked.
    heard: Option<Vec<u8>>,
}

/// How far an attempt has come.
pub(super) enum Progress {
    Waits,
    Reached { manner: Manner, first: Vec<u8> },
    Refused(Missed),
    Failed(io::Error),
}

impl Attempt {
    fn new(choice: Choice, address: SocketAddr, socket: Socket, talk: Talk, now: Instant) -> Self {
        Self {
            side: Side::Server,
            choice,
            address,
            backend: address,
            socket,
            lease: None,
            has_other_way: false,
            talk,
            is_connected: false,
            is_lively: false,
            link: None,
            began: now,
            until: now + DIAL_MAX,
            heard: None,
        }
    }

    /// Whether it goes into the network of a pod.
    pub(super) fn is_inside(&self) -> bool {
        matches!(
            self.talk,
            Talk::Backend {
                is_inside: true,
                ..
            }
        )
    }

    /// Whether another one may be tried beside it, when it takes long: not while a proxy of the original looks for
    /// its backends, and not when somebody may hear what the client has said.
    pub(super) fn may_be_overtaken(&self) -> bool {
        match self.talk {
            Talk::Backend { .. } => true,
            Talk::Line(_) => self.heard.is_none(),
            Talk::Request(_, sent) => sent == 0,
        }
    }

    /// Whether it takes what the client says before it has answered.
    pub(super) fn forwards(&self) -> bool {
        self.is_lively && matches!(self.talk, Talk::Request(..)) && self.heard.is_some()
    }

    /// Whether it has something of what the client has said.
    pub(super) fn has_forwarded(&self) -> bool {
        matches!(self.talk, Talk::Request(_, sent) if sent > 0)
    }

    /// What to try when it has failed: the same from outside, or over a new connection.
    pub(super) fn other_way(&self) -> Option<Choice> {
        if !self.has_other_way || self.has_forwarded() {
            return None;
        }
        match self.choice {
            Choice::Slot(index) => Some(Choice::Outside(index)),
            Choice::Peer(index) => Some(Choice::Anew(index)),
            Choice::Outside(_) | Choice::Anew(_) => None,
        }
    }

    pub(super) fn advance(&mut self, now: Instant, said: &[u8]) -> Progress {
        self.try_advance(now, said).unwrap_or_else(Progress::Failed)
    }

    fn try_advance(&mut self, now: Instant, said: &[u8]) -> io::Result<Progress> {
        if !self.is_connected {
            match self.socket.dialled(self.address) {
                None => return self.wait(now),
                Some(dialled) => dialled?,
            }
            self.is_connected = true;
        }
        match &mut self.talk {
            Talk::Backend { manner, .. } => {
                return Ok(Progress::Reached {
                    manner: *manner,
                    first: Vec::new(),
                });
            }
            Talk::Line(opening) | Talk::Request(opening, _) if self.heard.is_none() => {
                if self.socket.send(opening)? < opening.len() {
                    // A new socket takes more than a line.
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.heard = Some(Vec::new());
                self.until = now + LINE_MAX;
            }
            Talk::Line(_) | Talk::Request(..) => {}
        }
        // An answer that has come counts also when nothing more can be sent.
        let forwarded = self.forward(said);
        match (self.listen(now), forwarded) {
            (Ok(Progress::Waits), Err(error)) => Err(error),
            (heard, _) => heard,
        }
    }

    /// Passes on what the client has said since.
    fn forward(&mut self, said: &[u8]) -> io::Result<()> {
        if let Talk::Request(_, sent) = &mut self.talk {
            self.socket.flush()?;
            while let Some(rest) = said.get(*sent..).filter(|rest| !rest.is_empty())
                && self.socket.is_writable()
            {
                *sent += self.socket.send(rest)?;
            }
        }
        Ok(())
    }

    /// Hears what the other proxy answers.
    fn listen(&mut self, now: Instant) -> io::Result<Progress> {
        loop {
            if let Some(progress) = self.understand()? {
                return Ok(progress);
            }
            if !self.socket.is_readable() {
                return self.wait(now);
            }
            let heard = self.heard.get_or_insert_default();
            let mut buffer = [0; READ_BYTES];
            match self.socket.receive(&mut buffer)? {
                Received::Bytes(count) => {
                    heard.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                Received::Nothing => {}
                // So the original says that it has nobody.
                Received::End if heard.is_empty() && matches!(self.talk, Talk::Line(_)) => {
                    return Ok(Progress::Refused(Missed::Nothing));
                }
                Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    fn way(&self) -> metrics::Way {
        match self.choice {
            Choice::Peer(_) | Choice::Anew(_) => metrics::Way::Proxy,
            Choice::Slot(_) if self.is_inside() => metrics::Way::Inside,
            Choice::Slot(_) | Choice::Outside(_) => metrics::Way::HostPort,
        }
    }

    /// What the answer means; none when more of it has to come.
    fn understand(&mut self) -> io::Result<Option<Progress>> {
        let heard = self.heard.get_or_insert_default();
        if let Talk::Request(..) = self.talk {
            let Some(byte) = heard.first() else {
                return Ok(None);
            };
            return match Reply::parse(*byte) {
                Some(Reply::Served) => {
                    let first = heard.split_off(1);
                    // The other side has seen to it.
                    let manner = Manner::default();
                    Ok(Some(Progress::Reached { manner, first }))
                }
                Some(Reply::Busy) => Ok(Some(Progress::Refused(Missed::Busy))),
                Some(Reply::Nothing) => Ok(Some(Progress::Refused(Missed::Nothing))),
                None => Err(io::ErrorKind::InvalidData.into()),
            };
        }
        match parse_answer(heard) {
            Line::Whole(Answer::Accepted { send_proxy }, length) => {
                let first = heard.split_off(length);
                let send = if send_proxy {
                    SendProxy::V1
                } else {
                    SendProxy::None
                };
                let accept = AcceptProxy::Optional;
                let manner = Manner { accept, send };
                Ok(Some(Progress::Reached { manner, first }))
            }
            Line::Whole(Answer::Busy, _) => Ok(Some(Progress::Refused(Missed::Busy))),
            Line::Foreign => Err(io::ErrorKind::InvalidData.into()),
            Line::Partial => Ok(None),
        }
    }

    fn wait(&self, now: Instant) -> io::Result<Progress> {
        if now >= self.until {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(Progress::Waits)
        }
    }

    /// The server of the client, which is the only one from now on.
    pub(super) fn reached(
        self,
        key: Key,
        manner: Manner,
        first: Vec<u8>,
        tools: &Tools,
    ) -> io::Result<Target> {
        if self.side != Side::Server {
            tools.rename(&self.socket, key, Side::Server)?;
        }
        let forwarded = match self.talk {
            Talk::Request(_, sent) => Some(sent),
            Talk::Backend { .. } | Talk::Line(_) => None,
        };
        Ok(Target {
            socket: self.socket,
            manner,
            first,
            lease: self.lease,
            forwarded,
        })
    }

    /// Remembers and tells what came of it.
    pub(super) fn note(&self, progress: &Progress, port: u16, tools: &mut Tools) {
        if let Some(lease) = &self.lease {
            self.note_health(progress, lease, port, tools);
        }
        if let Progress::Reached { .. } = progress {
            let took = tools.now.saturating_duration_since(self.began);
            tools.board.reached(port, self.backend, self.way(), took);
        }
        let verdict = match progress {
            Progress::Waits => return,
            Progress::Reached { .. } => Verdict::Served,
            Progress::Refused(Missed::Busy) => Verdict::Busy,
            Progress::Refused(Missed::Soon | Missed::Nothing) => Verdict::Nothing,
            Progress::Failed(error) => {
                let error = io::Error::new(error.kind(), error.to_string());
                (tools.report)(&self.choice.failure(port, self.address, error));
                Verdict::Unreachable
            }
        };
        if let Some(link) = &self.link {
            match progress {
                Progress::Reached { .. } => link.doubt(false),
                Progress::Failed(_) if self.has_forwarded() => link.doubt(true),
                Progress::Failed(_) | Progress::Refused(_) | Progress::Waits => {}
            }
        }
        if let Choice::Peer(_) | Choice::Anew(_) = self.choice {
            tools.memory.note(port, self.address, verdict, tools.now);
        }
    }

    pub(super) fn note_health(&self, progress: &Progress, lease: &Lease, port: u16, tools: &Tools) {
        let took = tools.now.saturating_duration_since(self.began);
        match progress {
            Progress::Reached { .. } => {
                if let Some(back) = lease.health().answered(took, tools.now_ms()) {
                    (tools.report)(&Event::readmitted(port, self.backend, back));
                }
            }
            Progress::Failed(_) => {
                if let Some(ejection) = lease.health().failed(tools.now_ms()) {
                    (tools.report)(&Event::ejected(port, self.backend, ejection));
                }
            }
            Progress::Waits | Progress::Refused(_) => {}
        }
    }
}
