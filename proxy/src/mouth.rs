//! The first bytes of a client on their way to its server: listens as long as `opening` says, and no longer.
//!
//! Most clients need one look at their first bytes, and nothing is held for them.

mod frozen;

use std::time::Instant;

use names::{AcceptProxy, SendProxy};

pub(crate) use self::frozen::FrozenMouth;
use crate::flow::Stopped;
use crate::header::Header;
use crate::opening::{Begun, Heard, Manner, Opening, Verdict};
use crate::socket::{Received, Socket};
use crate::tools::Tools;

/// That of most servers, of whose clients nothing is kept before they speak.
const FRESH: Manner = Manner {
    accept: AcceptProxy::Optional,
    send: SendProxy::None,
};

/// What is known of a client's first bytes.
pub(crate) enum Mouth {
    /// Nothing came yet, the server is owed nothing, and the client owes nothing.
    Fresh,
    /// They may be a PROXY header, or have to be one, or the server is owed one.
    Opening(Box<Waiting>),
    /// They were passed on.
    Open,
}

/// An opening, and when silence ends it.
pub(crate) struct Waiting {
    opening: Opening,
    until: Option<Instant>,
}

impl Waiting {
    fn new(opening: Opening, began: Instant, now: Instant) -> Box<Self> {
        let mut waiting = Self {
            opening,
            until: None,
        };
        waiting.wait(began, now);
        Box::new(waiting)
    }

    fn wait(&mut self, began: Instant, now: Instant) {
        let age = now.saturating_duration_since(began);
        self.until = self.opening.patience(age).map(|patience| now + patience);
    }
}

impl Mouth {
    /// Of a client that connected at `began`, and what its server gets before anything was heard. `made` is the header
    /// that the server gets unless the client brings its own.
    pub(crate) fn new(
        manner: Manner,
        made: Option<Header>,
        began: Instant,
        tools: &Tools,
    ) -> (Self, Vec<u8>) {
        if manner == FRESH {
            return (Self::Fresh, Vec::new());
        }
        match Opening::begin(manner, made, tools.patience) {
            Begun::Done(bytes) => (Self::Open, bytes),
            Begun::Listens(opening) => {
                let waiting = Waiting::new(opening, began, tools.now);
                (Self::Opening(waiting), Vec::new())
            }
        }
    }

    /// Whether the client hears nothing before it has brought its header.
    pub(crate) fn keeps_quiet(&self) -> bool {
        matches!(self, Self::Opening(waiting) if waiting.opening.is_required())
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// When silence means something.
    pub(crate) fn until(&self) -> Option<Instant> {
        match self {
            Self::Opening(waiting) => waiting.until,
            Self::Fresh | Self::Open => None,
        }
    }

    /// What goes to the server next, perhaps nothing; none when the client has to say something first.
    pub(crate) fn listen(
        &mut self,
        client: &mut Socket,
        began: Instant,
        tools: &mut Tools,
    ) -> Result<Option<Vec<u8>>, Stopped> {
        let heard = if client.is_readable() {
            match client.receive(&mut tools.buffer).map_err(Stopped::Talker)? {
                Received::Nothing => return Ok(Some(Vec::new())),
                Received::End => Heard::End,
                Received::Bytes(count) => {
                    Heard::Bytes(tools.buffer.get(..count).unwrap_or_default())
                }
            }
        } else if self.until().is_some_and(|until| tools.now >= until) {
            Heard::Silence
        } else {
            return Ok(None);
        };
        self.hear(heard, began, tools).map(Some)
    }

    /// The same for what was heard before.
    pub(crate) fn hear(
        &mut self,
        heard: Heard<'_>,
        began: Instant,
        tools: &Tools,
    ) -> Result<Vec<u8>, Stopped> {
        let (verdict, fresh) = match self {
            Self::Open => return Ok(Vec::new()),
            Self::Opening(waiting) => (waiting.opening.hear(heard), None),
            Self::Fresh => match Opening::begin(FRESH, None, tools.patience) {
                Begun::Done(bytes) => (Verdict::Done(bytes), None),
                Begun::Listens(mut opening) => (opening.hear(heard), Some(opening)),
            },
        };
        let now = match verdict {
            Verdict::Done(bytes) => {
                *self = Self::Open;
                return Ok(bytes);
            }
            Verdict::Refuse(why) => return Err(Stopped::Refused(why)),
            Verdict::Send(bytes) => bytes,
            Verdict::Hold => Vec::new(),
        };
        match (fresh, &mut *self) {
            (Some(opening), _) => *self = Self::Opening(Waiting::new(opening, began, tools.now)),
            (None, Self::Opening(waiting)) => waiting.wait(began, tools.now),
            (None, _) => {}
        }
        Ok(now)
    }
}
