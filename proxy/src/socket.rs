//! What a worker does to the TCP sockets that it carries, and what is known of each.
//!
//! A socket is registered once, edge-triggered: the kernel tells when something *becomes* possible, and what is
//! known stays true until a call says otherwise. A socket that is simply dropped sends a *reset*, so that a
//! connection which is cut short can never pass for one that ended well; only [`Socket::end_in_order`] changes
//! that. This module must not know what flows through a socket.

mod frozen;
mod heard;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, connect, getsockname,
    recv, send, shutdown, socket_with, sockopt,
};

pub(crate) use self::frozen::FrozenSocket;
use crate::records::Records;

/// A peer that vanished without a word is noticed after about `KEEP_IDLE` + `KEEP_PROBES` ×
/// `KEEP_INTERVAL`, and gives its place in `maxConn` back.
const KEEP_IDLE: Duration = Duration::from_secs(60);
const KEEP_INTERVAL: Duration = Duration::from_secs(15);
const KEEP_PROBES: u32 = 4;

/// All that a worker wants to hear of a connection's socket, for as long as it lives.
pub(crate) const INTEREST: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::RDHUP)
    .union(EventFlags::PRI)
    .union(EventFlags::ET);

/// How much is read at once of what is sealed: two records.
const SEALED_BYTES: usize = 2 * ((16 << 10) + 256);

/// One of the sockets of a connection.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    readable: bool,
    writable: bool,
    /// A short read does not mean that all was read: the other end has said that nothing more will come, which is
    /// told only once, or has sent urgent data, at which reads stop.
    ends: bool,
    broken: bool,
    /// How many bytes were read.
    heard: u64,
    /// On a connection between two proxies over TLS.
    records: Option<Box<Records>>,
}

/// What came out of a read.
#[derive(Debug)]
pub(crate) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// Nothing, ever again.
    End,
}

impl Socket {
    /// One that was accepted; what it inherits from its listener is set there, see [`prepare`].
    pub(crate) fn accepted(fd: OwnedFd) -> Self {
        Self::of(fd)
    }

    /// Begins to dial; the socket becomes writable when that has succeeded or failed. Whoever is on another host
    /// can vanish without a word.
    pub(crate) fn dial(address: SocketAddr, elsewhere: bool) -> io::Result<Self> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(family, SocketType::STREAM, flags, None)?;
        if elsewhere {
            keep_alive(fd.as_fd())?;
        }
        Self::dial_from(fd, address)
    }

    /// The same from a socket that was made before, perhaps in another network.
    pub(crate) fn dial_from(fd: OwnedFd, address: SocketAddr) -> io::Result<Self> {
        prepare(fd.as_fd())?;
        match connect(&fd, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let mut socket = Self::of(fd);
        socket.writable = false;
        Ok(socket)
    }

    fn of(fd: OwnedFd) -> Self {
        Self {
            fd,
            readable: false,
            writable: true,
            ends: false,
            broken: false,
            heard: 0,
            records: None,
        }
    }

    /// One that is connected with another proxy, and on which nothing was asked yet.
    pub(crate) fn connected(fd: OwnedFd, records: Option<Box<Records>>) -> Self {
        let mut socket = Self::of(fd);
        // What came with the last of the handshake is told by nobody else.
        socket.readable = records.is_some();
        socket.records = records;
        socket
    }

    /// Whether what goes over it is what is said: only then it can go through a pipe.
    pub(crate) fn is_plain(&self) -> bool {
        self.records.is_none()
    }

    /// The first byte that has arrived, which stays there; none when there is none.
    pub(crate) fn peek(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        match recv(&self.fd, &mut byte, RecvFlags::PEEK) {
            Ok((0, _)) => Ok(None),
            Ok(_) => Ok(byte.first().copied()),
            Err(Errno::AGAIN | Errno::INTR) => {
                self.readable = false;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The socket itself, for somebody else.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Takes note of what the kernel says.
    pub(crate) fn note(&mut self, flags: EventFlags) {
        let failed = flags.contains(EventFlags::ERR);
        self.broken |= failed;
        self.readable |= failed || flags.intersects(EventFlags::IN | EventFlags::RDHUP);
        self.writable |= failed || flags.intersects(EventFlags::OUT | EventFlags::HUP);
        let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::PRI;
        self.ends |= failed || flags.intersects(ends);
    }

    /// Whether a read may bring something.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether a write may succeed.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// So many bytes were read.
    pub(crate) fn has_heard(&mut self, count: usize) {
        self.heard += u64::try_from(count).unwrap_or_default();
    }

    /// A read has come to the end. If the other end has never said that it has said all, it has broken off, and an
    /// earlier call was told of it.
    pub(crate) fn end(&self) -> io::Result<Received> {
        // What cannot be known has not ended.
        if heard::received(self.fd.as_fd()).is_ok_and(|received| received > self.heard) {
            Ok(Received::End)
        } else {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }

    /// A read has brought nothing.
    pub(crate) fn not_readable(&mut self) {
        self.readable = false;
    }

    /// A write was not taken.
    pub(crate) fn not_writable(&mut self) {
        self.writable = false;
    }

    /// Whether the other end has broken off; what it said before may still be there to read.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether dialling has come to an end, and how. A port on which nobody listens can, very rarely, be given
    /// to the dialling socket itself, and the kernel then connects the socket with itself.
    pub(crate) fn dialled(&self, address: SocketAddr) -> Option<io::Result<()>> {
        if !self.writable {
            return None;
        }
        if self.broken {
            return Some(Err(self.failure()));
        }
        let own = getsockname(&self.fd).map_err(io::Error::from);
        Some(own.and_then(|own| match SocketAddr::try_from(own) {
            Ok(own) if own == address => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(()),
        }))
    }

    /// Why the other end has broken off.
    pub(crate) fn failure(&self) -> io::Error {
        match sockopt::socket_error(&self.fd) {
            Ok(Err(error)) => error.into(),
            // Whoever read or wrote last was told already.
            Ok(Ok(())) | Err(_) => io::ErrorKind::ConnectionReset.into(),
        }
    }

    /// The address on this side.
    pub(crate) fn own_address(&self) -> io::Result<SocketAddr> {
        let own = getsockname(&self.fd)?;
        SocketAddr::try_from(own).map_err(|_| io::ErrorKind::Unsupported.into())
    }

    /// Reads what was said. A read that does not fill the buffer has emptied the socket, and the kernel will
    /// tell of what comes next; unless the end has been told of already, which it is only once.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.records.is_some() {
            return self.receive_sealed(buffer);
        }
        let room = buffer.len();
        match recv(&self.fd, buffer, RecvFlags::empty()) {
            Ok((0, _)) => self.end(),
            Ok((count, _)) => {
                self.readable = count == room || self.ends;
                self.has_heard(count);
                Ok(Received::Bytes(count))
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Ok(Received::Nothing)
            }
            Err(Errno::INTR) => Ok(Received::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// The same through records. That a connection ends without a word is as if it broke off.
    fn receive_sealed(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let Some(records) = &mut self.records else {
            return Ok(Received::Nothing);
        };
        loop {
            match records.take(buffer)? {
                0 if records.heard_all() => return Ok(Received::End),
                0 => {}
                count => {
                    // There may be more, of which the kernel will not tell: it has arrived already.
                    self.readable = true;
                    return Ok(Received::Bytes(count));
                }
            }
            let mut arrived = [0; SEALED_BYTES];
            match recv(&self.fd, &mut arrived, RecvFlags::empty()) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => records.arrived(arrived.get(..count).unwrap_or_default()),
                Err(Errno::AGAIN) => {
                    self.readable = false;
                    return Ok(Received::Nothing);
                }
                Err(Errno::INTR) => return Ok(Received::Nothing),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends as much as is taken now.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.records.is_none() {
            return self.send_plain(bytes);
        }
        // What is sealed counts as sent, so there is never more of it than one piece.
        if !self.flush()? {
            return Ok(0);
        }
        if let Some(records) = &mut self.records {
            records.say(bytes)?;
        }
        self.flush()?;
        Ok(bytes.len())
    }

    fn send_plain(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match send(&self.fd, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => {
                self.writable = count == bytes.len();
                Ok(count)
            }
            Err(Errno::AGAIN) => {
                self.writable = false;
                Ok(0)
            }
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what was sealed before; true when nothing is left of it.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while let Some(records) = &self.records
            && !records.going().is_empty()
        {
            if !self.writable {
                return Ok(false);
            }
            let sent = match send(&self.fd, records.going(), SendFlags::NOSIGNAL) {
                Ok(count) => count,
                Err(Errno::AGAIN) => {
                    self.writable = false;
                    return Ok(false);
                }
                Err(Errno::INTR) => 0,
                Err(error) => return Err(error.into()),
            };
            if let Some(records) = &mut self.records {
                records.sent(sent);
            }
        }
        Ok(true)
    }

    /// What has to be said before the end; true when it was sent.
    pub(crate) fn say_last(&mut self) -> io::Result<bool> {
        if let Some(records) = &mut self.records {
            records.end()?;
        }
        self.flush()
    }

    /// Says that no more bytes will be sent, and goes on receiving.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.say_last()? {
            shutdown(&self.fd, Shutdown::Write)?;
        }
        Ok(())
    }

    /// From now on dropping this socket closes it in order: what was sent still arrives.
    pub(crate) fn end_in_order(&self) {
        // A socket that refuses the option is broken already, and there is nobody left to tell.
        let _ = sockopt::set_socket_linger(&self.fd, None);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes a socket ready to carry a connection: small writes go at once, and dropping it resets it. What a listener
/// accepts inherits that.
pub(crate) fn prepare(socket: BorrowedFd<'_>) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_linger(socket, Some(Duration::ZERO))?;
    Ok(())
}

/// Lets peers that vanished be noticed. What a listener accepts inherits that.
pub(crate) fn keep_alive(socket: BorrowedFd<'_>) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEP_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEP_INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, KEEP_PROBES)?;
    Ok(())
}
