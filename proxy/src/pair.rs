//! A client and its server, joined: both directions, each with its own end.
//!
//! ```text
//! Both ──a side takes no more──▶ ServerLeft (the client hears the rest)  ──▶ over
//!   │                            ClientLeft (the server hears the rest)  ──▶ over
//!   └──both have said all, or one broke off──▶ over
//! ```
//!
//! When a side stops talking, the other is told so and may still answer. When a side breaks off, what it had said
//! before still arrives, and then both sockets are dropped, which resets them.

mod frozen;
mod seen;

use std::io;
use std::time::{Duration, Instant};

pub(crate) use self::frozen::FrozenPair;
use crate::flow::{Flow, Stopped, TURN_BYTES, Turn};
use crate::header::Header;
use crate::mouth::Mouth;
use crate::opening::{Heard, Manner, NoHeader};
use crate::socket::{Received, Socket};
use crate::table::Lease;
use crate::tools::Tools;

/// How long the last words of a broken connection may take to arrive, and how long a client may talk
/// on after its server has left.
const GOODBYE_MAX: Duration = Duration::from_secs(10);

/// The server of a client, and what flows between them.
pub(crate) struct Pair {
    server: Socket,
    up: Flow,
    down: Flow,
    up_runs: bool,
    down_runs: bool,
    mouth: Mouth,
    /// What the client had said before there was a server, and nobody has looked at.
    said: Option<Box<[u8]>>,
    phase: Phase,
    /// Given back when the connection is over.
    lease: Option<Lease>,
}

enum Phase {
    Both,
    /// The server takes no more.
    ServerLeft {
        why: io::Error,
        until: Instant,
        told: bool,
    },
    /// The client takes no more; what it has said still counts.
    ClientLeft {
        why: io::Error,
        until: Instant,
    },
}

/// What became of a pair.
pub(crate) enum Step {
    /// Until something happens, or until then.
    Wait(Option<Instant>),
    /// There is more to do, and others come first.
    Again,
    /// Both have said all, and it was sent.
    Over,
    /// One broke off.
    Broken(io::Error),
    /// The client brought no header where it has to.
    Refused(NoHeader),
}

impl Pair {
    /// A client whose server treats PROXY headers so, and gets this one, if it wants any, unless the client brings
    /// its own.
    pub(crate) fn of_client(
        server: Socket,
        manner: Manner,
        made: Option<Header>,
        lease: Option<Lease>,
        began: Instant,
        tools: &Tools,
    ) -> Self {
        let (mouth, first) = Mouth::new(manner, made, began, tools);
        let mut pair = Self::new(server, mouth, lease);
        pair.owe_server(&first);
        pair
    }

    /// A client of another proxy, which has seen to its first bytes.
    pub(crate) fn of_proxy(server: Socket, lease: Option<Lease>) -> Self {
        Self::new(server, Mouth::Open, lease)
    }

    fn new(server: Socket, mouth: Mouth, lease: Option<Lease>) -> Self {
        Self {
            server,
            up: Flow::default(),
            down: Flow::default(),
            up_runs: true,
            down_runs: true,
            mouth,
            said: None,
            phase: Phase::Both,
            lease,
        }
    }

    /// These bytes go to the server before all others.
    pub(crate) fn owe_server(&mut self, bytes: &[u8]) {
        self.up.owe(bytes);
    }

    /// These bytes go to the client before all others.
    pub(crate) fn owe_client(&mut self, bytes: &[u8]) {
        self.down.owe(bytes);
    }

    /// The server has heard so many bytes of the client already.
    pub(crate) fn credit_client(&mut self, bytes: usize) {
        self.up.credit(bytes);
    }

    /// The client has said this already.
    pub(crate) fn hear_first(&mut self, said: &[u8]) {
        if self.mouth.is_open() {
            self.up.owe(said);
        } else {
            self.said = (!said.is_empty()).then(|| said.into());
        }
    }

    pub(crate) fn server(&mut self) -> &mut Socket {
        &mut self.server
    }

    /// Whether its server is one of this host, and counts it.
    pub(crate) fn has_place(&self) -> bool {
        self.lease.is_some()
    }

    /// How many pipes it holds.
    pub(crate) fn pipes(&self) -> usize {
        usize::from(self.up.holds_pipe()) + usize::from(self.down.holds_pipe())
    }

    /// The connection is over: what it holds of the worker's is given back.
    pub(crate) fn release(&mut self, tools: &mut Tools) {
        self.up.release(&mut tools.pipes);
        self.down.release(&mut tools.pipes);
    }

    /// Moves what can be moved. The client connected at `began`.
    pub(crate) fn run(&mut self, client: &mut Socket, began: Instant, tools: &mut Tools) -> Step {
        loop {
            let stepped = match &self.phase {
                Phase::Both => self.both(client, began, tools),
                Phase::ServerLeft { .. } => self.say_goodbye(client, tools),
                Phase::ClientLeft { .. } => self.hear_out(client, began, tools),
            };
            if let Some(step) = stepped {
                return step;
            }
        }
    }

    /// None when the phase is another one now.
    fn both(&mut self, client: &mut Socket, began: Instant, tools: &mut Tools) -> Option<Step> {
        let (mut again, mut alarm) = (false, None);
        if self.up_runs {
            match self.run_up(client, began, tools) {
                Ok(turn) => again |= turn == Turn::Again,
                Err(Stopped::Talker(error)) => return Some(Step::Broken(error)),
                Err(Stopped::Refused(why)) => return Some(Step::Refused(why)),
                Err(Stopped::Listener(error)) => {
                    return self.server_left(error, tools);
                }
            }
            alarm = self.mouth.until();
        }
        if self.down_runs {
            match self
                .run_down(client, tools)
                .and_then(|turn| self.end_down(turn, client))
            {
                Ok(turn) => again |= turn == Turn::Again,
                Err(Stopped::Talker(error)) => return Some(Step::Broken(error)),
                Err(Stopped::Refused(why)) => return Some(Step::Refused(why)),
                Err(Stopped::Listener(why)) if self.up_runs => {
                    let until = tools.now + GOODBYE_MAX;
                    self.phase = Phase::ClientLeft { why, until };
                    return None;
                }
                Err(Stopped::Listener(error)) => return Some(Step::Broken(error)),
            }
        }
        // A side that has said all is no longer read, so its breaking off has to be looked for.
        match self.flush_ends(client) {
            Ok(true) if !self.up_runs && !self.down_runs => return Some(Step::Over),
            Ok(_) => {}
            Err(error) => return Some(Step::Broken(error)),
        }
        if !self.up_runs && client.is_broken() {
            return Some(Step::Broken(client.failure()));
        }
        if !self.down_runs && self.server.is_broken() {
            let why = self.server.failure();
            return self.server_left(why, tools);
        }
        Some(if again {
            Step::Again
        } else {
            Step::Wait(alarm)
        })
    }

    /// What is sealed may still wait when everything was said; true when nothing does.
    fn flush_ends(&mut self, client: &mut Socket) -> io::Result<bool> {
        let mut flushed = true;
        if !self.up_runs && !self.server.is_plain() {
            flushed &= self.server.say_last()?;
        }
        if !self.down_runs && !client.is_plain() {
            flushed &= client.say_last()?;
        }
        Ok(flushed)
    }

    fn server_left(&mut self, why: io::Error, tools: &Tools) -> Option<Step> {
        self.phase = Phase::ServerLeft {
            why,
            until: tools.now + GOODBYE_MAX,
            told: false,
        };
        None
    }

    /// The way up; its end is told to the server. When it is the second end, closing in order tells it.
    fn run_up(
        &mut self,
        client: &mut Socket,
        began: Instant,
        tools: &mut Tools,
    ) -> Result<Turn, Stopped> {
        if !self.open(client, began, tools)? {
            return Ok(Turn::Waits);
        }
        let turn = self.up.run(
            client,
            &mut self.server,
            &mut tools.buffer,
            &mut tools.pipes,
        )?;
        if turn == Turn::Said {
            self.up_runs = false;
            if self.down_runs {
                self.server.finish().map_err(Stopped::Listener)?;
            }
        }
        Ok(turn)
    }

    fn run_down(&mut self, client: &mut Socket, tools: &mut Tools) -> Result<Turn, Stopped> {
        // Nobody hears a word of a server who may not be served, but another proxy hears that it is asked.
        if self.mouth.keeps_quiet() {
            self.down.flush(client, &mut tools.pipes)?;
            return Ok(Turn::Waits);
        }
        self.down.run(
            &mut self.server,
            client,
            &mut tools.buffer,
            &mut tools.pipes,
        )
    }

    fn end_down(&mut self, turn: Turn, client: &mut Socket) -> Result<Turn, Stopped> {
        if turn == Turn::Said {
            self.down_runs = false;
            if self.up_runs {
                client.finish().map_err(Stopped::Listener)?;
            }
        }
        Ok(turn)
    }

    /// Ends a client whose server takes no more, such as one that answers early and closes.
    ///
    /// First the client gets the rest of the answer. If that has an end, the client is told so, and may talk on
    /// to nobody until it has read the answer; else it is reset. What it says is thrown away all the time, because
    /// it may read only after it has said everything.
    fn say_goodbye(&mut self, client: &mut Socket, tools: &mut Tools) -> Option<Step> {
        let mut again = false;
        if self.down_runs {
            match self.run_down(client, tools) {
                Ok(Turn::Said) => self.down_runs = false,
                Ok(turn) => again |= turn == Turn::Again,
                Err(_) => return Some(self.why()),
            }
            if !self.down_runs && client.finish().is_err() {
                return Some(self.why());
            }
        }
        if !self.down_runs {
            if client.flush().is_err() {
                return Some(self.why());
            }
            if let Phase::ServerLeft { told, .. } = &mut self.phase
                && !std::mem::replace(told, true)
            {
                client.end_in_order();
            }
        }
        match throw_away(client, &mut tools.buffer) {
            // It has read the answer, or will never again.
            Ok(Turn::Said) if !self.down_runs => Some(self.why()),
            Ok(turn) => Some(self.until(tools.now, again || turn == Turn::Again)),
            Err(_) => Some(self.why()),
        }
    }

    /// Nobody wants an answer any more, but what the client has said still counts.
    fn hear_out(&mut self, client: &mut Socket, began: Instant, tools: &mut Tools) -> Option<Step> {
        match self.run_up(client, began, tools) {
            Ok(Turn::Said) | Err(_) => Some(self.why()),
            Ok(turn) => Some(self.until(tools.now, turn == Turn::Again)),
        }
    }

    /// The error that began the end.
    fn why(&mut self) -> Step {
        match std::mem::replace(&mut self.phase, Phase::Both) {
            Phase::Both => Step::Over,
            Phase::ServerLeft { why, .. } | Phase::ClientLeft { why, .. } => Step::Broken(why),
        }
    }

    fn until(&mut self, now: Instant, again: bool) -> Step {
        match &self.phase {
            Phase::ServerLeft { until, .. } | Phase::ClientLeft { until, .. } if now >= *until => {
                self.why()
            }
            _ if again => Step::Again,
            Phase::ServerLeft { until, .. } | Phase::ClientLeft { until, .. } => {
                Step::Wait(Some(*until))
            }
            Phase::Both => Step::Wait(None),
        }
    }

    /// Passes on the first bytes of a client, with or without a PROXY header, as the server wants it; true when
    /// that is done.
    fn open(
        &mut self,
        client: &mut Socket,
        began: Instant,
        tools: &mut Tools,
    ) -> Result<bool, Stopped> {
        if let Some(said) = self.said.take() {
            let bytes = self.mouth.hear(Heard::Bytes(&said), began, tools)?;
            self.up.owe(&bytes);
        }
        while !self.mouth.is_open() {
            self.up.flush(&mut self.server, &mut tools.pipes)?;
            match self.mouth.listen(client, began, tools)? {
                None => return Ok(false),
                Some(bytes) => self.up.owe(&bytes),
            }
        }
        Ok(true)
    }
}

/// Listens and forgets, for one turn.
fn throw_away(from: &mut Socket, buffer: &mut [u8]) -> io::Result<Turn> {
    let mut heard = 0;
    while from.is_readable() {
        match from.receive(buffer)? {
            Received::Bytes(count) => heard += count,
            Received::Nothing => {}
            Received::End => return Ok(Turn::Said),
        }
        if heard >= TURN_BYTES {
            return Ok(Turn::Again);
        }
    }
    Ok(Turn::Waits)
}
