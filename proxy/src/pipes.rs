//! Pipes in the kernel, through which long streams pass without being copied; a pool of them, so that a
//! connection holds one only while something is in it.

mod frozen;

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

pub(crate) use self::frozen::FrozenPipe;
use crate::socket::{Received, Socket};

/// How much one pipe takes, in bytes.
const PIPE_BYTES: usize = 256 << 10;
/// How many may exist at the same time: each takes two descriptors. Who gets none copies.
const PIPES_MAX: usize = 256;
/// How many are kept when nobody needs them.
const SPARE_MAX: usize = 16;

/// A pipe and how much is in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    bytes: usize,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (out, into) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // A user who has many already gets small ones, which are worse than none.
        if fcntl_setpipe_size(&into, PIPE_BYTES)? < PIPE_BYTES {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(Self {
            out,
            into,
            bytes: 0,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes what has arrived; the pipe must be empty.
    pub(crate) fn fill(&mut self, from: &mut Socket) -> io::Result<Received> {
        match splice(&*from, None, &self.into, None, PIPE_BYTES, FLAGS) {
            Ok(0) => from.end(),
            Ok(count) => {
                self.bytes = count;
                from.has_heard(count);
                Ok(Received::Bytes(count))
            }
            // The pipe was empty, so it is the socket that has nothing.
            Err(Errno::AGAIN) => {
                from.not_readable();
                Ok(Received::Nothing)
            }
            Err(Errno::INTR) => Ok(Received::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives as much as is taken now.
    pub(crate) fn drain(&mut self, to: &mut Socket) -> io::Result<()> {
        match splice(&self.out, None, &*to, None, self.bytes, FLAGS) {
            Ok(count) => {
                self.bytes = self.bytes.saturating_sub(count);
                Ok(())
            }
            Err(Errno::AGAIN) => {
                to.not_writable();
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// The pipes of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    spare: Vec<Pipe>,
    lent: usize,
}

impl Pipes {
    /// An empty pipe; none when there are too many, or no descriptor is left.
    pub(crate) fn take(&mut self) -> Option<Pipe> {
        if self.lent >= PIPES_MAX {
            return None;
        }
        let pipe = self.spare.pop().or_else(|| Pipe::new().ok())?;
        self.lent += 1;
        Some(pipe)
    }

    /// So many of the pipes that were lent are another worker's matter now.
    pub(crate) fn part_with(&mut self, count: usize) {
        self.lent = self.lent.saturating_sub(count);
    }

    /// So many pipes of another worker are this one's matter now.
    pub(crate) fn adopt(&mut self, count: usize) {
        self.lent += count;
    }

    /// Takes a pipe back. One that still holds something belongs to a connection that broke off, and is closed.
    pub(crate) fn give_back(&mut self, pipe: Pipe) {
        self.lent = self.lent.saturating_sub(1);
        if pipe.is_empty() && self.spare.len() < SPARE_MAX {
            self.spare.push(pipe);
        }
    }
}
