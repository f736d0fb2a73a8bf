//! The first bytes of a client on their way to its server: listens as long as `opening` says, and no longer.
//!
//! Most clients need one look at their first bytes, and nothing is held for them.

mod frozen;

use std::io;
use std::time::Instant;

pub(crate) use self::frozen::FrozenMouth;
use crate::header::Header;
use crate::opening::{Heard, Opening, Verdict};
use crate::socket::{Received, Socket};
use crate::tools::Tools;

/// What is known of a client's first bytes.
pub(crate) enum Mouth {
    /// Nothing came yet, and the server is owed nothing.
    Fresh,
    /// They may be a PROXY header, or the server is owed one.
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
    /// Of a client that connected at `began` and whose server is owed this header, unless it brings its own.
    pub(crate) fn new(owed: Option<Header>, began: Instant, tools: &Tools) -> Self {
        match owed {
            None => Self::Fresh,
            Some(_) => Self::Opening(Waiting::new(
                Opening::new(owed, tools.patience),
                began,
                tools.now,
            )),
        }
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
    ) -> io::Result<Option<Vec<u8>>> {
        let heard = if client.is_readable() {
            match client.receive(&mut tools.buffer)? {
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
        Ok(Some(self.hear(heard, began, tools)))
    }

    /// The same for what was heard before.
    pub(crate) fn hear(&mut self, heard: Heard<'_>, began: Instant, tools: &Tools) -> Vec<u8> {
        let (verdict, fresh) = match self {
            Self::Open => return Vec::new(),
            Self::Opening(waiting) => (waiting.opening.hear(heard), None),
            Self::Fresh => {
                let mut opening = Opening::new(None, tools.patience);
                (opening.hear(heard), Some(opening))
            }
        };
        if let Verdict::Done(bytes) = verdict {
            *self = Self::Open;
            return bytes;
        }
        match (fresh, &mut *self) {
            (Some(opening), _) => *self = Self::Opening(Waiting::new(opening, began, tools.now)),
            (None, Self::Opening(waiting)) => waiting.wait(began, tools.now),
            (None, _) => {}
        }
        match verdict {
            Verdict::Send(bytes) => bytes,
            Verdict::Hold | Verdict::Done(_) => Vec::new(),
        }
    }
}
