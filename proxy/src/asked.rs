//! The first bytes of a connection at the port for other proxies: who is it, and what does he ask for?
//!
//! ```text
//! "S…"  a ticket of a proxy that has proved itself, and a request behind it, now or later
//! "P…"  a line of the original's protocol, where that is allowed
//! 0x16  TLS: somebody wants to prove himself, which is not a worker's matter
//! ```
//!
//! Whoever says anything else learns nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use hostfiles::PeerKey;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::lines::{LINE_MAX, Line, READ_BYTES, parse_request};
use crate::peers::reception::Reception;
use crate::peers::ticket::{SIGNATURE, TICKET_BYTES};
use crate::request::{REQUEST_BYTES, Request};
use crate::socket::{Received, Socket};

/// What TLS begins with: a handshake record.
const TLS: u8 = 0x16;

/// What was heard so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Asked {
    heard: Vec<u8>,
    /// Of one whose ticket was good: he may take as long as he likes, while his key is believed, to begin to ask.
    key: Option<[u8; 32]>,
    /// Counts for one of his connections that stand ready.
    #[serde(skip)]
    _ready: Option<Arc<()>>,
    /// When he has begun to ask.
    #[serde(skip)]
    since: Option<Instant>,
}

/// How the one who asks talks, and is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Speech {
    /// The original's lines; the asking side sees to the client's first bytes.
    Lines,
    /// Requests and replies; the side that has the backend sees to the client's first bytes.
    Requests,
}

/// What came of listening.
pub(crate) enum Heard {
    /// Nothing yet: until something arrives, or until then.
    Waits(Option<Instant>),
    /// This is asked for; what the client has said already follows.
    Asks(Request, Speech, Vec<u8>),
    /// Somebody speaks TLS; nothing was read.
    Tls,
    /// Nobody whom this proxy serves.
    Refused(Event),
}

/// What the bytes so far are.
enum Found {
    More,
    Request(Request, Speech, usize),
    Foreign,
}

impl Asked {
    /// Whether it is a connection that stands ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.key.is_some() && self.heard.is_empty()
    }

    /// Listens to one who connected at `began`.
    pub(crate) fn listen(
        &mut self,
        socket: &mut Socket,
        from: SocketAddr,
        (began, now): (Instant, Instant),
        (reception, takes_lines): (&Reception, bool),
    ) -> io::Result<Heard> {
        loop {
            match self.find(reception, takes_lines, from) {
                Found::Request(request, speech, length) => {
                    let first = self.heard.split_off(length);
                    return Ok(Heard::Asks(request, speech, first));
                }
                Found::Foreign => return Ok(Heard::Refused(Event::BadRequest(from))),
                Found::More => {}
            }
            if !socket.is_readable() {
                if self.is_ready() {
                    return Ok(Heard::Waits(None));
                }
                // Whoever has begun to ask is not one that stands ready any more.
                let since = match self.key {
                    Some(_) => *self.since.get_or_insert(now),
                    None => began,
                };
                let until = since + LINE_MAX;
                return Ok(if now < until {
                    Heard::Waits(Some(until))
                } else if self.heard.is_empty() {
                    Heard::Refused(Event::NoRequest(from))
                } else {
                    Heard::Refused(Event::BadRequest(from))
                });
            }
            let is_first = self.heard.is_empty() && self.key.is_none() && socket.is_plain();
            if is_first && socket.peek()? == Some(TLS) {
                return Ok(Heard::Tls);
            }
            let mut buffer = [0; READ_BYTES];
            match socket.receive(&mut buffer)? {
                Received::Bytes(count) => {
                    self.heard
                        .extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                Received::Nothing => {}
                Received::End if self.heard.is_empty() => {
                    return Ok(Heard::Refused(Event::NoRequest(from)));
                }
                Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    fn find(&mut self, reception: &Reception, takes_lines: bool, from: SocketAddr) -> Found {
        let Some(key) = self.key else {
            return self.find_who(reception, takes_lines, from);
        };
        match self.heard.first_chunk::<REQUEST_BYTES>() {
            None => Found::More,
            Some(_) if !reception.believes(&PeerKey::new(key)) => Found::Foreign,
            Some(request) => Request::parse(request).map_or(Found::Foreign, |request| {
                Found::Request(request, Speech::Requests, REQUEST_BYTES)
            }),
        }
    }

    /// The same for one who has not shown who he is.
    fn find_who(&mut self, reception: &Reception, takes_lines: bool, from: SocketAddr) -> Found {
        let signature = self.heard.get(..SIGNATURE.len()).unwrap_or(&self.heard);
        if !SIGNATURE.starts_with(signature) {
            return match takes_lines {
                true => line(&self.heard, from),
                false => Found::Foreign,
            };
        }
        let Some(ticket) = self.heard.first_chunk::<TICKET_BYTES>() else {
            return Found::More;
        };
        let Some((key, ready)) = reception.admits(ticket) else {
            return Found::Foreign;
        };
        self.key = Some(*key.bytes());
        self._ready = Some(ready);
        self.heard.drain(..TICKET_BYTES);
        self.find(reception, takes_lines, from)
    }
}

/// A line of the original's protocol, which does not name the client.
fn line(heard: &[u8], from: SocketAddr) -> Found {
    match parse_request(heard) {
        Line::Whole(port, length) => {
            let request = Request {
                port,
                client: from,
                destination: from,
            };
            Found::Request(request, Speech::Lines, length)
        }
        Line::Foreign => Found::Foreign,
        Line::Partial => Found::More,
    }
}
