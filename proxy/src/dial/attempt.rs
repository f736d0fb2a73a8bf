//! One backend, or the proxy of another host, being dialled.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use names::{AcceptProxy, SendProxy};

use super::{Missed, Target};
use crate::event::Event;
use crate::header::Header;
use crate::opening::Manner;
use crate::relay::{Answer, LINE_MAX, Line, READ_BYTES, parse_answer};
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
    /// The proxy of another host.
    Peer(SocketAddr),
}

impl Choice {
    pub(super) fn failure(self, port: u16, address: SocketAddr, error: io::Error) -> Event {
        match self {
            Self::Slot(_) | Self::Outside(_) => Event::BackendFailed(port, address, error),
            Self::Peer(_) => Event::PeerFailed(port, address, error),
        }
    }
}

/// One of them, being dialled.
pub(super) struct Attempt {
    pub(super) side: Side,
    pub(super) choice: Choice,
    pub(super) address: SocketAddr,
    pub(super) socket: Socket,
    pub(super) lease: Option<Lease>,
    /// It goes into the network of the pod.
    pub(super) is_inside: bool,
    pub(super) manner: Manner,
    pub(super) began: Instant,
    pub(super) until: Instant,
    /// What another proxy has answered so far, once it was asked.
    pub(super) heard: Option<Vec<u8>>,
}

/// How far an attempt has come.
pub(super) enum Progress {
    Waits,
    Reached { manner: Manner, first: Vec<u8> },
    Refused(Missed),
    Failed(io::Error),
}

impl Attempt {
    pub(super) fn advance(
        &mut self,
        now: Instant,
        header: impl Fn() -> io::Result<Header>,
    ) -> Progress {
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
            if let Choice::Slot(_) | Choice::Outside(_) = self.choice {
                return Ok(Progress::Reached {
                    manner: self.manner,
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
                    let send = if send_proxy {
                        SendProxy::V1
                    } else {
                        SendProxy::None
                    };
                    let accept = AcceptProxy::Optional;
                    let manner = Manner { accept, send };
                    return Ok(Progress::Reached { manner, first });
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
        Ok(Target {
            socket: self.socket,
            manner,
            first,
            lease: self.lease,
        })
    }

    /// Remembers and tells what came of it.
    pub(super) fn note(&self, progress: &Progress, port: u16, tools: &mut Tools) {
        if let Some(lease) = &self.lease {
            self.note_health(progress, lease, port, tools);
        }
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

    pub(super) fn note_health(&self, progress: &Progress, lease: &Lease, port: u16, tools: &Tools) {
        let took = tools.now.saturating_duration_since(self.began);
        match progress {
            Progress::Reached { .. } => {
                if lease.health().answered(took) {
                    (tools.report)(&Event::Readmitted(port, self.address));
                }
            }
            Progress::Failed(_) => {
                if let Some(time) = lease.health().failed(tools.now_ms()) {
                    (tools.report)(&Event::Ejected(port, self.address, time));
                }
            }
            Progress::Waits | Progress::Refused(_) => {}
        }
    }
}
