//! One connection from its first byte to its end: of a client at a cluster port, or of another proxy.
//!
//! ```text
//! Asked (another proxy says what it wants) ─▶ Dialling ◀─▶ Queued (all are full)
//!                                                 └─▶ Joined ─▶ over
//! ```
//!
//! Joins an accepted socket with what `dial` finds. It must not listen, and must not choose.

mod frozen;
mod search;
mod seen;
mod strangers;

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub(crate) use self::frozen::FrozenConnection;
use self::search::Search;
use crate::asked::{Asked, Heard, Speech};
use crate::dial::{Dialled, Missed, Target};
use crate::event::Event;
use crate::header::Header;
use crate::lines::Answer;
use crate::pair::{Pair, Step};
use crate::request::Reply;
use crate::socket::Socket;
use crate::tools::{Key, Side, Tools};

/// What a port leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Where a client of another host is connected to; none for one of this host.
    destination: Option<Box<SocketAddr>>,
    began: Instant,
    client: Socket,
    stage: Stage,
}

enum Stage {
    /// What somebody at the port for proxies has said so far.
    Asked(Box<Asked>),
    Dialling(Box<Search>),
    /// Waits for a place, or for a way to another host.
    Queued(Box<Waiting>),
    Joined(Box<Pair>),
}

/// A client that waits for a place.
struct Waiting {
    until: Instant,
    missed: Missed,
    /// What it has said so far.
    said: Vec<u8>,
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
    /// When somebody has proved himself, which is not a worker's matter.
    Stranger,
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
            Entrance::Relay => (0, Stage::Asked(Box::default())),
            Entrance::Cluster(port) => {
                (tools.report)(&Event::Opened(port, from));
                (port, Stage::dialling(port, None, Vec::new(), tools))
            }
        };
        Self {
            port,
            from,
            destination: None,
            began: tools.now,
            client,
            stage,
        }
    }

    /// The socket of that side, if it has one now.
    pub(crate) fn socket(&mut self, side: Side) -> Option<&mut Socket> {
        match (side, &mut self.stage) {
            (Side::Client, _) => Some(&mut self.client),
            (_, Stage::Asked(_) | Stage::Queued(..)) => None,
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
        matches!(self.stage, Stage::Queued(..))
    }

    /// Whether what it waits for is on its way: nobody has to leave for it.
    pub(crate) fn waits_for_way(&self) -> bool {
        matches!(&self.stage, Stage::Queued(waiting) if waiting.missed == Missed::Soon)
    }

    /// Whether it has a place at a backend of this host.
    pub(crate) fn has_place(&self) -> bool {
        match &self.stage {
            Stage::Asked(_) | Stage::Queued(..) => false,
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
        if let Stage::Queued(waiting) = &mut self.stage {
            let said = std::mem::take(&mut waiting.said);
            self.stage = Stage::dialling(self.port, None, said, tools);
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
            Stage::Asked(_) | Stage::Dialling(_) | Stage::Queued(..) => 0,
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
        if let Stage::Queued(waiting) = &self.stage {
            return self.wait(waiting.until, tools);
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
        let Stage::Asked(asked) = &mut self.stage else {
            return Ok(None);
        };
        let rules = (tools.reception.as_ref(), tools.routes.takes_lines);
        let times = (self.began, tools.now);
        match asked.listen(&mut self.client, self.from, times, rules)? {
            Heard::Waits(until) => Ok(Some(Next::Wait(until))),
            Heard::Tls => Ok(Some(Next::Stranger)),
            Heard::Refused(why) => {
                (tools.report)(&why);
                self.client.end_in_order();
                Ok(Some(Next::Over))
            }
            Heard::Asks(request, speech, said) => {
                tools.board.relay_accepts.count();
                self.port = request.port;
                self.from = request.client;
                let is_told = speech == Speech::Requests;
                self.destination = is_told.then(|| Box::new(request.destination));
                self.began = tools.now;
                (tools.report)(&Event::Opened(self.port, self.from));
                self.stage = Stage::dialling(self.port, Some(speech), said, tools);
                Ok(None)
            }
        }
    }

    /// Where the client is connected to.
    fn destination(&self) -> io::Result<SocketAddr> {
        match &self.destination {
            Some(destination) => Ok(**destination),
            None => self.client.own_address(),
        }
    }

    /// Looks for a backend; none when one was found.
    fn dial(&mut self, key: Key, tools: &mut Tools) -> io::Result<Option<Next>> {
        let until = self.until(tools);
        let Stage::Dialling(search) = &mut self.stage else {
            return Ok(None);
        };
        // Nobody goes on dialling for somebody who has left.
        if self.client.is_broken() {
            return Err(self.client.failure());
        }
        if search.dialling.forwards() {
            search.listen(&mut self.client)?;
        }
        let (from, client) = (self.from, &self.client);
        let who = || Ok((from, client.own_address()?));
        match search.dialling.advance(key, tools, &search.said, who) {
            Dialled::Waits => Ok(Some(Next::Wait(search.dialling.until()))),
            Dialled::Missed(missed) => {
                let asker = search.asker;
                let waits = match missed {
                    Missed::Busy | Missed::Soon => tools.now < until,
                    Missed::Nothing => false,
                };
                if asker.is_none() && waits {
                    let said = std::mem::take(&mut search.said);
                    self.stage = Stage::Queued(Box::new(Waiting {
                        until,
                        missed,
                        said,
                    }));
                    return Ok(Some(Next::Full));
                }
                self.refuse(missed, asker, tools)?;
                Ok(Some(Next::Over))
            }
            Dialled::Reached(target) => {
                let (asker, said) = (search.asker, std::mem::take(&mut search.said));
                self.join(target, asker, &said, tools)?;
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

    fn refuse(&mut self, missed: Missed, asker: Option<Speech>, tools: &Tools) -> io::Result<()> {
        let Some(asker) = asker else {
            (tools.report)(&Event::NotServed {
                port: self.port,
                client: self.from,
                busy: missed != Missed::Nothing,
            });
            return Ok(());
        };
        let answer = search::refusal(asker, missed);
        self.client.send(&answer)?;
        self.client.say_last()?;
        self.client.end_in_order();
        Ok(())
    }

    fn join(
        &mut self,
        target: Target,
        asker: Option<Speech>,
        said: &[u8],
        tools: &mut Tools,
    ) -> io::Result<()> {
        let Target {
            socket,
            manner,
            first,
            lease,
            forwarded,
        } = target;
        let pair = match (asker, forwarded) {
            (Some(Speech::Lines), _) => {
                let mut pair = Pair::of_proxy(socket, lease);
                let send_proxy = manner.send.is_wanted();
                let answer = Answer::Accepted { send_proxy };
                pair.owe_client(answer.to_string().as_bytes());
                pair.owe_server(said);
                pair
            }
            // The other side sees to the client's first bytes.
            (_, Some(sent)) => {
                let mut pair = Pair::of_proxy(socket, lease);
                pair.credit_client(sent);
                pair.owe_server(said.get(sent..).unwrap_or_default());
                pair.owe_client(&first);
                pair
            }
            (asker, None) => {
                let made = if manner.send.is_wanted() {
                    Some(Header::of(self.from, self.destination()?))
                } else {
                    None
                };
                let mut pair = Pair::of_client(socket, manner, made, lease, self.began, tools);
                if asker.is_some() {
                    pair.owe_client(&[Reply::Served.to_byte()]);
                }
                pair.owe_client(&first);
                pair.hear_first(said);
                pair
            }
        };
        self.stage = Stage::Joined(Box::new(pair));
        Ok(())
    }
}

impl Stage {
    fn dialling(port: u16, asker: Option<Speech>, said: Vec<u8>, tools: &mut Tools) -> Self {
        Self::Dialling(Box::new(Search::new(port, asker, said, tools)))
    }
}
