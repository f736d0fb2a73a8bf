//! Descriptors on their way from one program to the next: through a socket that becomes the standard input of the
//! next one. What is in the socket outlives the program that has sent it, and everything else is closed by `execve`.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use zeroize::Zeroizing;

use super::Frozen;

/// How many the kernel takes in one message.
const MESSAGE_MAX: usize = 253;
/// What a message says besides: how many there are in it.
const WORD_BYTES: usize = 1;
/// How much may wait in the socket, in bytes: more than all descriptors that a process can have need.
const SOCKET_BYTES: usize = 64 << 20;

/// Descriptors, by their place.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Vec<Option<OwnedFd>>);

impl Descriptors {
    /// Keeps one: its place.
    pub(crate) fn put(&mut self, descriptor: OwnedFd) -> u32 {
        let place = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push(Some(descriptor));
        place
    }

    /// Gives one back, once.
    pub(crate) fn take(&mut self, place: u32) -> io::Result<OwnedFd> {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let found = self.0.get_mut(place).and_then(Option::take);
        found.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a descriptor is missing"))
    }

    /// Another one for the same, which stays.
    pub(super) fn copy(&self, place: u32) -> io::Result<OwnedFd> {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let found = self.0.get(place).and_then(Option::as_ref);
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "a descriptor is missing");
        found.ok_or_else(missing)?.try_clone()
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Frozen {
    /// Puts everything into a socket. Whoever has the socket has everything.
    ///
    /// # Errors
    /// The kernel has no room for so much.
    pub fn pack(&self) -> io::Result<OwnedFd> {
        let (out, into) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        // Only root may have more than the system allows in general.
        if set_socket_send_buffer_size_force(&into, SOCKET_BYTES).is_err() {
            set_socket_send_buffer_size(&into, SOCKET_BYTES)?;
        }
        let mut memory = File::from(memfd_create("state", MemfdFlags::CLOEXEC)?);
        memory.write_all(&self.state)?;
        memory.rewind()?;
        let all = self.descriptors.0.iter().flatten().map(AsFd::as_fd);
        let all: Vec<BorrowedFd<'_>> = std::iter::once(memory.as_fd()).chain(all).collect();
        for some in all.chunks(MESSAGE_MAX) {
            send(into.as_fd(), some)?;
        }
        Ok(out)
    }

    /// Takes everything out of a socket.
    ///
    /// # Errors
    /// There is nothing in it, or not all.
    pub fn unpack(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let mut all = Vec::new();
        while receive(socket, &mut all)? {}
        let mut all = all.into_iter();
        let memory = all.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut memory = File::from(memory);
        let length = usize::try_from(memory.metadata()?.len()).map_err(io::Error::other)?;
        let mut state = Zeroizing::new(vec![0; length]);
        memory.read_exact(&mut state)?;
        wipe(&mut memory, length)?;
        Ok(Self {
            state,
            descriptors: Descriptors(all.map(Some).collect()),
        })
    }
}

/// Leaves nothing in memory that nobody needs any more.
fn wipe(memory: &mut File, length: usize) -> io::Result<()> {
    memory.rewind()?;
    let zeros = [0; 4096];
    let mut left = length;
    while let Some(some) = zeros
        .get(..left.min(zeros.len()))
        .filter(|some| !some.is_empty())
    {
        memory.write_all(some)?;
        left -= some.len();
    }
    Ok(())
}

fn send(to: BorrowedFd<'_>, some: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(some));
    let word = [u8::try_from(some.len()).unwrap_or(u8::MAX)];
    sendmsg(
        to,
        &[IoSlice::new(&word)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Takes one message; false when there is none left.
fn receive(from: BorrowedFd<'_>, all: &mut Vec<OwnedFd>) -> io::Result<bool> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut word = [0; WORD_BYTES];
    let received = recvmsg(
        from,
        &mut [IoSliceMut::new(&mut word)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Ok(false);
    }
    let before = all.len();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            all.extend(descriptors);
        }
    }
    // A process that may have no more descriptors gets fewer than were sent.
    if word.first().map(|count| usize::from(*count)) != Some(all.len() - before) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "descriptors are missing",
        ));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn everything_comes_out_of_the_socket_again() {
        let mut descriptors = Descriptors::default();
        let mut places = Vec::new();
        for _ in 0..600 {
            places.push(descriptors.put(File::open("/dev/null").unwrap().into()));
        }
        let text = File::open("/proc/self/comm").unwrap();
        let place = descriptors.put(text.into());
        let frozen = Frozen {
            state: Zeroizing::new(vec![7; 300_000]),
            descriptors,
        };
        let socket = frozen.pack().unwrap();
        let mut other = Frozen::unpack(socket.as_fd()).unwrap();
        assert_eq!(other.state, frozen.state);
        assert_eq!(other.count(), 601);
        let first = other.descriptors.take(places[0]).unwrap();
        let flags = rustix::io::fcntl_getfd(&first).unwrap();
        assert!(
            flags.contains(rustix::io::FdFlags::CLOEXEC),
            "{}",
            first.as_raw_fd()
        );
        let mut comm = String::new();
        let mut file = File::from(other.descriptors.take(place).unwrap());
        file.read_to_string(&mut comm).unwrap();
        assert!(!comm.is_empty());
        assert!(other.descriptors.take(place).is_err());
    }

    #[test]
    fn what_was_read_is_wiped() {
        let mut memory = File::from(memfd_create("state", MemfdFlags::CLOEXEC).unwrap());
        for length in [0, 1, 4096, 10_001] {
            memory.rewind().unwrap();
            memory.write_all(&vec![7; length]).unwrap();
            wipe(&mut memory, length).unwrap();
            memory.rewind().unwrap();
            let mut left = Vec::new();
            memory.read_to_end(&mut left).unwrap();
            assert_eq!(left, vec![0; length]);
        }
    }

    #[test]
    fn an_empty_socket_and_another_format_are_refused() {
        let (out, _) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        assert!(Frozen::unpack(out.as_fd()).is_err());
        let frozen = Frozen {
            state: Zeroizing::new(vec![9, 9, 9, 9, 0]),
            descriptors: Descriptors::default(),
        };
        let error = frozen.open().unwrap_err().to_string();
        assert!(error.contains("format"), "{error}");
    }
}
