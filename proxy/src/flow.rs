//! One direction of a connection: what one side says arrives at the other in the same order, no faster than the
//! other side takes it.
//!
//! Small pieces are copied through the one buffer of the worker; a direction whose pieces fill that buffer goes
//! through a pipe, without copying, until its pieces are small again. A direction that waits for the side that talks
//! holds no memory; one that waits for the side that listens holds what that has not taken yet.

mod frozen;

use std::io;

use serde::{Deserialize, Serialize};

pub(crate) use self::frozen::FrozenFlow;
use crate::opening::NoHeader;
use crate::pipes::{Pipe, Pipes};
use crate::socket::{Received, Socket};

/// So many full buffers in a row make a stream long.
const LONG_READS: u8 = 2;
/// So many small pieces in a row make it short again.
const SMALL_READS: u8 = 8;
/// What is small for a pipe, in bytes.
const SMALL_BYTES: usize = 16 << 10;
/// How much is moved in one turn, in bytes: two fast sides must not keep a worker to themselves.
pub(crate) const TURN_BYTES: usize = 1 << 20;

/// Why a direction ended before everything was said.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The side that talks broke off.
    Talker(io::Error),
    /// The side that listens takes no more.
    Listener(io::Error),
    /// The side that talks is not served, because of how it began.
    Refused(NoHeader),
}

/// What became of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// One of the two sockets has to become ready first.
    Waits,
    /// There is more to do, and others come first.
    Again,
    /// The side that talks has said all, and all of it was sent.
    Said,
}

/// How the bytes get from one socket to the other.
#[derive(Debug, Default)]
enum Way {
    #[default]
    Copied,
    Piped(Option<Pipe>),
}

/// How much went through one direction, in bytes, since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moved {
    /// All that was taken to be passed on, headers that a proxy made included.
    pub(crate) bytes: u64,
    /// How much of it went through a pipe, without being copied.
    pub(crate) spliced: u64,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    moved: Moved,
    /// What was read and not yet taken by the other side.
    pending: Vec<u8>,
    way: Way,
    /// Full reads in a row while copying, small ones in a row while piping.
    row: u8,
    /// The side that talks has said all.
    heard_all: bool,
}

impl Flow {
    /// So many bytes went that way before it was one.
    pub(crate) fn credit(&mut self, bytes: usize) {
        self.moved.bytes += u64::try_from(bytes).unwrap_or_default();
    }

    /// These bytes come first.
    pub(crate) fn owe(&mut self, bytes: &[u8]) {
        self.moved.bytes += bytes.len() as u64;
        self.pending.extend_from_slice(bytes);
    }

    /// How much it has moved.
    pub(crate) fn moved(&self) -> Moved {
        self.moved
    }

    /// Whether it is a long stream now.
    pub(crate) fn is_long(&self) -> bool {
        matches!(self.way, Way::Piped(_))
    }

    /// Whether it holds a pipe.
    pub(crate) fn holds_pipe(&self) -> bool {
        matches!(self.way, Way::Piped(Some(_)))
    }

    /// Moves what can be moved.
    pub(crate) fn run(
        &mut self,
        from: &mut Socket,
        to: &mut Socket,
        buffer: &mut [u8],
        pipes: &mut Pipes,
    ) -> Result<Turn, Stopped> {
        let mut moved = 0;
        loop {
            if !self.flush(to, pipes)? {
                return Ok(Turn::Waits);
            }
            if self.heard_all {
                return Ok(Turn::Said);
            }
            if !from.is_readable() {
                self.release(pipes);
                return Ok(Turn::Waits);
            }
            if moved >= TURN_BYTES {
                return Ok(Turn::Again);
            }
            let received = match &mut self.way {
                Way::Copied => copy(from, to, buffer, &mut self.pending)?,
                Way::Piped(Some(pipe)) => pipe.fill(from).map_err(Stopped::Talker)?,
                Way::Piped(none) => {
                    *none = pipes.take();
                    if none.is_none() {
                        self.way = Way::Copied;
                    }
                    continue;
                }
            };
            match received {
                Received::Bytes(count) => {
                    moved += count;
                    let room = if from.is_plain() && to.is_plain() {
                        buffer.len()
                    } else {
                        // What is sealed has to be copied.
                        usize::MAX
                    };
                    self.choose(count, room);
                }
                Received::Nothing => {}
                Received::End => self.heard_all = true,
            }
        }
    }

    /// Sends what was read before; true when nothing is left of it.
    pub(crate) fn flush(&mut self, to: &mut Socket, pipes: &mut Pipes) -> Result<bool, Stopped> {
        while !self.pending.is_empty() {
            if !to.is_writable() {
                return Ok(false);
            }
            let sent = to.send(&self.pending).map_err(Stopped::Listener)?;
            self.pending.drain(..sent);
        }
        if self.pending.capacity() > 0 {
            self.pending = Vec::new();
        }
        if !to.flush().map_err(Stopped::Listener)? {
            return Ok(false);
        }
        let Way::Piped(slot) = &mut self.way else {
            return Ok(true);
        };
        while let Some(pipe) = slot.as_mut().filter(|pipe| !pipe.is_empty()) {
            if !to.is_writable() {
                return Ok(false);
            }
            pipe.drain(to).map_err(Stopped::Listener)?;
        }
        if self.row >= SMALL_READS {
            self.release(pipes);
            self.way = Way::Copied;
            self.row = 0;
        }
        Ok(true)
    }

    /// Counts a piece, and chooses which way the next one goes, after one of `count` bytes.
    fn choose(&mut self, count: usize, room: usize) {
        self.moved.bytes += count as u64;
        if let Way::Piped(_) = self.way {
            self.moved.spliced += count as u64;
        }
        match &self.way {
            Way::Copied if count < room => self.row = 0,
            Way::Copied => {
                self.row += 1;
                if self.row >= LONG_READS {
                    self.way = Way::Piped(None);
                    self.row = 0;
                }
            }
            Way::Piped(_) if count >= SMALL_BYTES => self.row = 0,
            Way::Piped(_) => self.row = self.row.saturating_add(1),
        }
    }

    /// Nothing is under way, or nothing will be any more: others may have the pipe.
    pub(crate) fn release(&mut self, pipes: &mut Pipes) {
        if let Way::Piped(slot) = &mut self.way
            && let Some(pipe) = slot.take()
        {
            pipes.give_back(pipe);
        }
    }
}

/// Reads a piece and sends it; what is not taken becomes `pending`.
fn copy(
    from: &mut Socket,
    to: &mut Socket,
    buffer: &mut [u8],
    pending: &mut Vec<u8>,
) -> Result<Received, Stopped> {
    let received = from.receive(buffer).map_err(Stopped::Talker)?;
    if let Received::Bytes(count) = received {
        let bytes = buffer.get(..count).unwrap_or_default();
        let sent = if to.is_writable() {
            to.send(bytes).map_err(Stopped::Listener)?
        } else {
            0
        };
        pending.extend_from_slice(bytes.get(sent..).unwrap_or_default());
    }
    Ok(received)
}
