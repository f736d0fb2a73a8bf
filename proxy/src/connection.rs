//! One connection from its first byte to its end: of a client at a cluster port, or of another proxy.
//!
//! ```text
//! Asked (another proxy says what it wants) ─▶ Dialling ◀─▶ Queued (all are full)
//!                                                 └─▶ Joined ─▶ over
//! ```
//!
//! Joins an accepted socket with what `dial` finds. It must not listen, and must not choose.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use crate::dial::{Dialled, Dialling, Missed, Target};
use crate::event::Event;
use crate::header::Header;
use crate::pair::{Pair, Step};
use crate::relay::{Answer, LINE_MAX, Line, READ_BYTES, parse_request};
use crate::socket::{Received, Socket};
use crate::tools::{Key, Side, Tools};

/// What a port leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Entrance {
    /// Clients of this cluster port.
    Cluster(u16),
    /// Other proxies.
    Relay,
}

/// One connection.
pub(crate) struct Connection {
    /// 0 until another proxy has said it.
    port: u16,
    from: SocketAddr,
    began: Instant,
    client: Socket,
    stage: Stage,
}

enum Stage {
    /// What another proxy has said so far.
    Asked(Vec<u8>),
    Dialling(Box<Search>),
    /// Waits for a place until then.
    Queued(Instant),
    Joined(Box<Pair>),
}

/// Who looks for a backend.
struct Search {
    dialling: Dialling,
    /// What a client of another proxy has said already; none for a client of this one.
    asker: Option<Vec<u8>>,
}

/// When to look at a connection again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// When something happens, or at that time.
    Wait(Option<Instant>),
    /// When the others had their turn.
    Again,
    /// When there is a place at a backend.
    Full,
    /// Never: it is over.
    Over,
}

impl Connection {
    /// A socket that was accepted.
    pub(crate) fn new(
        entrance: Entrance,
        client: Socket,
        from: SocketAddr,
        tools: &mut Tools,
    ) -> Self {
        let (port, stage) = match entrance {
            Entrance::Relay => (0, Stage::Asked(Vec::new())),
            Entrance::Cluster(port) => {
                (tools.report)(&Event::Opened(port, from));
                (port, Stage::dialling(port, None, tools))
            }
        };
        Self {
            port,
            from,
            began: tools.now,
            client,
            stage,
        }
    }

    /// The socket of that side, if it has one now.
    pub(crate) fn socket(&mut self, side: Side) -> Option<&mut Socket> {
        match (side, &mut self.stage) {
            (Side::Client, _) => Some(&mut self.client),
            (_, Stage::Asked(_) | Stage::Queued(_)) => None,
            (_, Stage::Dialling(search)) => search.dialling.socket(side),
            (Side::Server, Stage::Joined(pair)) => Some(pair.server()),
            // A word of the kernel about one that was given up.
            (Side::Second, Stage::Joined(_)) => None,
        }
    }

    /// The cluster port that it is for; 0 until another proxy has said it.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it waits for a place.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.stage, Stage::Queued(_))
    }

    /// Whether it has a place at a backend of this host.
    pub(crate) fn has_place(&self) -> bool {
        match &self.stage {
            Stage::Asked(_) | Stage::Queued(_) => false,
            Stage::Dialling(search) => search.dialling.has_place(),
            Stage::Joined(pair) => pair.has_place(),
        }
    }

    /// How long a client may wait for a place.
    pub(crate) fn until(&self, tools: &Tools) -> Instant {
        self.began + tools.routes.queue.wait
    }

    /// Looks once more for a place, for a client that waits for one.
    pub(crate) fn retry(&mut self, tools: &mut Tools) {
        if let Stage::Queued(_) = self.stage {
            self.stage = Stage::dialling(self.port, None, tools);
        }
    }

    /// Tells that a client was not served, because all backends are full.
    pub(crate) fn turn_away(&self, tools: &Tools) {
        (tools.report)(&Event::NotServed {
            port: self.port,
            client: self.from,
            busy: true,
        });
    }

    /// Whether it carries a long stream now.
    pub(crate) fn is_long(&self) -> bool {
        matches!(&self.stage, Stage::Joined(pair) if pair.is_long())
    }

    /// How many pipes it holds.
    pub(crate) fn pipes(&self) -> usize {
        match &self.stage {
            Stage::Joined(pair) => pair.pipes(),
            Stage::Asked(_) | Stage::Dialling(_) | Stage::Queued(_) => 0,
        }
    }

    /// What it holds of the worker's is given back; then it can be dropped.
    pub(crate) fn release(&mut self, tools: &mut Tools) {
        if let Stage::Joined(pair) = &mut self.stage {
            pair.release(tools);
        }
    }

    /// Goes on as far as possible.
    pub(crate) fn advance(&mut self, key: Key, tools: &mut Tools) -> Next {
        let done = self.try_advance(key, tools);
        done.unwrap_or_else(|error| {
            (tools.report)(&Event::Broken(self.port, self.from, error));
            Next::Over
        })
    }

    /// An error means that one of the two broke off.
    fn try_advance(&mut self, key: Key, tools: &mut Tools) -> io::Result<Next> {
        if let Stage::Asked(_) = self.stage
            && let Some(next) = self.hear_request(tools)?
        {
            return Ok(next);
        }
        if let Stage::Dialling(_) = self.stage
            && let Some(next) = self.dial(key, tools)?
        {
            return Ok(next);
        }
        if let Stage::Queued(until) = self.stage {
            return self.wait(until, tools);
        }
        let Stage::Joined(pair) = &mut self.stage else {
            return Ok(Next::Wait(None));
        };
        match pair.run(&mut self.client, self.began, tools) {
            Step::Wait(until) => Ok(Next::Wait(until)),
            Step::Again => Ok(Next::Again),
            Step::Broken(error) => Err(error),
            Step::Refused(why) => {
                let (port, client) = (self.port, self.from);
                (tools.report)(&Event::NoHeader { port, client, why });
                Ok(Next::Over)
            }
            Step::Over => {
                pair.server().end_in_order();
                self.client.end_in_order();
                Ok(Next::Over)
            }
        }
    }

    /// Hears what another proxy wants; none when it has said it.
    fn hear_request(&mut self, tools: &mut Tools) -> io::Result<Option<Next>> {
        let until = self.began + LINE_MAX;
        let Stage::Asked(heard) = &mut self.stage else {
            return Ok(None);
        };
        let refusal = loop {
            match parse_request(heard) {
                Line::Whole(port, length) => {
                    let first = heard.split_off(length);
                    self.port = port;
                    (tools.report)(&Event::Opened(port, self.from));
                    self.stage = Stage::dialling(port, Some(first), tools);
                    return Ok(None);
                }
                Line::Foreign => break Event::BadRequest(self.from),
                Line::Partial => {}
            }
            if !self.client.is_readable() {
                if tools.now < until {
                    return Ok(Some(Next::Wait(Some(until))));
                }
                break if heard.is_empty() {
                    Event::NoRequest(self.from)
                } else {
                    Event::BadRequest(self.from)
                };
            }
            let mut buffer = [0; READ_BYTES];
            match self.client.receive(&mut buffer)? {
                Received::Bytes(count) => {
                    heard.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                Received::Nothing => {}
                Received::End if heard.is_empty() => break Event::NoRequest(self.from),
                Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        };
        (tools.report)(&refusal);
        self.client.end_in_order();
        Ok(Some(Next::Over))
    }

    /// Looks for a backend; none when one was found.
    fn dial(&mut self, key: Key, tools: &mut Tools) -> io::Result<Option<Next>> {
        let Stage::Dialling(search) = &mut self.stage else {
            return Ok(None);
        };
        // Nobody goes on dialling for somebody who has left.
        if self.client.is_broken() {
            return Err(self.client.failure());
        }
        let (from, client) = (self.from, &self.client);
        let header = || Ok(Header::of(from, client.own_address()?));
        match search.dialling.advance(key, tools, header) {
            Dialled::Waits => Ok(Some(Next::Wait(search.dialling.until()))),
            Dialled::Missed(missed) => {
                let is_client = search.asker.is_none();
                let until = self.until(tools);
                if is_client && missed == Missed::Busy && tools.now < until {
                    self.stage = Stage::Queued(until);
                    return Ok(Some(Next::Full));
                }
                self.refuse(missed, is_client, tools)?;
                Ok(Some(Next::Over))
            }
            Dialled::Reached(target) => {
                let asker = search.asker.take();
                self.join(target, asker, tools)?;
                Ok(None)
            }
        }
    }

    /// A client that waits for a place.
    fn wait(&self, until: Instant, tools: &Tools) -> io::Result<Next> {
        if self.client.is_broken() {
            return Err(self.client.failure());
        }
        if tools.now < until {
            return Ok(Next::Wait(Some(until)));
        }
        self.turn_away(tools);
        Ok(Next::Over)
    }

    fn refuse(&mut self, missed: Missed, is_client: bool, tools: &Tools) -> io::Result<()> {
        if is_client {
            (tools.report)(&Event::NotServed {
                port: self.port,
                client: self.from,
                busy: missed == Missed::Busy,
            });
            return Ok(());
        }
        if missed == Missed::Busy {
            self.client.send(Answer::Busy.to_string().as_bytes())?;
        }
        self.client.end_in_order();
        Ok(())
    }

    fn join(
        &mut self,
        target: Target,
        asker: Option<Vec<u8>>,
        tools: &mut Tools,
    ) -> io::Result<()> {
        let Target {
            socket,
            manner,
            first,
            lease,
        } = target;
        let pair = match asker {
            None => {
                let made = if manner.send.is_wanted() {
                    Some(Header::of(self.from, self.client.own_address()?))
                } else {
                    None
                };
                let mut pair = Pair::of_client(socket, manner, made, lease, self.began, tools);
                pair.owe_client(&first);
                pair
            }
            Some(said) => {
                let mut pair = Pair::of_proxy(socket, lease);
                let send_proxy = manner.send.is_wanted();
                let answer = Answer::Accepted { send_proxy };
                pair.owe_client(answer.to_string().as_bytes());
                pair.owe_server(&said);
                pair
            }
        };
        self.stage = Stage::Joined(Box::new(pair));
        Ok(())
    }
}

impl Stage {
    fn dialling(port: u16, asker: Option<Vec<u8>>, tools: &mut Tools) -> Self {
        Self::Dialling(Box::new(Search {
            dialling: Dialling::new(port, asker.is_none(), tools),
            asker,
        }))
    }
}
