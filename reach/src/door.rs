//! The way to a process, and the door that is opened for it: one helper inside its network namespace.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};

use crate::process::Place;
use crate::wire::{Answer, Family, Packet, Request, parse_answer, receive, send};
use crate::{Process, ReachError, SUBCOMMAND};

/// How a process is reached that listens on a port.
#[derive(Debug)]
pub enum Way {
    /// It is in the network namespace of the caller: nothing is entered.
    Here,
    /// It is in another one, or may be, that only root or another user can enter: what it publishes is all
    /// there is.
    Closed,
    /// From inside its network namespace.
    Inside(Door),
}

/// A helper inside a network namespace, which makes sockets there. It ends when this is dropped; the sockets
/// stay.
#[derive(Debug)]
pub struct Door {
    /// The process whose namespace it is.
    pid: u32,
    channel: OwnedFd,
    helper: Child,
}

impl Way {
    /// The way to this process. `program` is started as the helper where one is needed: it must call
    /// [`serve`](crate::serve()) when its first argument is [`SUBCOMMAND`]. Blocks for a moment; whenever the
    /// helper does not answer within `limit`, that is an error.
    ///
    /// # Errors
    /// The process has ended; it cannot be looked at; the helper does not start or does not answer.
    pub fn to(process: Process, program: &Path, limit: Duration) -> Result<Self, ReachError> {
        let descriptor = match process.place()? {
            Place::Here => return Ok(Self::Here),
            Place::Hidden => return Ok(Self::Closed),
            Place::Elsewhere(descriptor) => descriptor,
        };
        let mut door = Door::start(process.pid, program, limit)?;
        let entered = door.ask(&[0], Some(&descriptor))?;
        match entered.0 {
            Ok(()) => Ok(Self::Inside(door)),
            Err(Errno::PERM) => Ok(Self::Closed),
            Err(Errno::SRCH) => Err(ReachError::Ended { pid: process.pid }),
            Err(error) => Err(ReachError::Enter {
                pid: process.pid,
                source: error.into(),
            }),
        }
    }
}

impl Door {
    fn start(pid: u32, program: &Path, limit: Duration) -> Result<Self, ReachError> {
        let start = |source| ReachError::Start {
            program: program.to_owned(),
            source,
        };
        let flags = SocketFlags::CLOEXEC;
        let (channel, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(|error| start(error.into()))?;
        // A limit of nothing would mean none.
        let limit = limit.max(Duration::from_millis(1));
        set_socket_timeout(&channel, Timeout::Recv, Some(limit))
            .map_err(|error| start(error.into()))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the helper is started"
        )]
        let helper = std::process::Command::new(program)
            .arg(SUBCOMMAND)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(start)?;
        Ok(Self {
            pid,
            channel,
            helper,
        })
    }

    /// So many TCP sockets, not connected and not blocking; at most [`SOCKETS_MAX`](crate::SOCKETS_MAX). A
    /// door whose helper did not answer once stays shut.
    ///
    /// # Errors
    /// The helper does not answer, or the kernel gives it none.
    pub fn sockets(&mut self, family: Family, count: u8) -> Result<Vec<OwnedFd>, ReachError> {
        let (answer, sockets) = self.ask(&Request { family, count }.to_bytes(), None)?;
        let pid = self.pid;
        answer.map_err(|error| ReachError::Socket {
            pid,
            source: error.into(),
        })?;
        if sockets.len() == usize::from(count) {
            return Ok(sockets);
        }
        let source = io::Error::new(
            io::ErrorKind::InvalidData,
            "it sent another number of sockets",
        );
        Err(ReachError::Helper { pid, source })
    }

    /// The process of the helper.
    #[must_use]
    pub fn helper(&self) -> u32 {
        self.helper.id()
    }

    fn ask(
        &mut self,
        bytes: &[u8],
        process: Option<&OwnedFd>,
    ) -> Result<(Answer, Vec<OwnedFd>), ReachError> {
        let passed: Vec<_> = process.into_iter().map(AsFd::as_fd).collect();
        let answered = send(&self.channel, bytes, &passed)
            .and_then(|()| receive(&self.channel))
            .and_then(|packet| packet.ok_or_else(ended))
            .and_then(|packet| Ok((parse_answer(packet.bytes())?, packet)));
        let (answer, Packet { descriptors, .. }) = answered.map_err(|error| {
            // An answer that comes late must not be taken for that to the next request.
            let _ = shutdown(&self.channel, Shutdown::Both);
            ReachError::Helper {
                pid: self.pid,
                source: plain(error),
            }
        })?;
        Ok((answer, descriptors))
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended")
}

/// What errors of the channel mean.
fn plain(error: io::Error) -> io::Error {
    match error.kind() {
        // So says a socket with a limit when the time is over.
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ended(),
        _ => error,
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // It holds nothing that is worth a word, and a helper that was stopped would not listen to one.
        let _ = self.helper.kill();
        let _ = self.helper.wait();
    }
}
