//! What a door and its helper say to each other: packets, with which descriptors pass.
//!
//! A packet arrives whole or not at all. Both ends are the same program, so a packet that is none of these
//! is a mistake, and ends the conversation.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// So many sockets can be asked for at once; the kernel passes 253 descriptors with one packet.
pub const SOCKETS_MAX: usize = 64;

/// The longest packet: an [`Answer`].
const PACKET_BYTES_MAX: usize = 4;

/// For which kind of address a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What a helper is asked for when it is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) family: Family,
    /// How many.
    pub(crate) count: u8,
}

impl Request {
    pub(crate) fn to_bytes(self) -> [u8; 2] {
        let family = match self.family {
            Family::V4 => 4,
            Family::V6 => 6,
        };
        [family, self.count]
    }

    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Self> {
        let (family, count) = match *bytes {
            [4, count] => (Family::V4, count),
            [6, count] => (Family::V6, count),
            _ => return Err(not_understood()),
        };
        Ok(Self { family, count })
    }
}

/// How it went, with the sockets that were asked for.
pub(crate) type Answer = Result<(), Errno>;

pub(crate) fn answer_to_bytes(answer: Answer) -> [u8; 4] {
    answer
        .map_or_else(Errno::raw_os_error, |()| 0)
        .to_le_bytes()
}

pub(crate) fn parse_answer(bytes: &[u8]) -> io::Result<Answer> {
    let bytes = bytes.try_into().map_err(|_| not_understood())?;
    Ok(match i32::from_le_bytes(bytes) {
        0 => Ok(()),
        number => Err(Errno::from_raw_os_error(number)),
    })
}

fn not_understood() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a packet is not understood")
}

/// What has arrived.
#[derive(Debug)]
pub(crate) struct Packet {
    bytes: [u8; PACKET_BYTES_MAX],
    length: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Packet {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Sends one packet.
pub(crate) fn send(
    channel: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passes = SendAncillaryMessage::ScmRights(descriptors);
    let is_too_much = descriptors.len() > SOCKETS_MAX;
    if is_too_much || (!descriptors.is_empty() && !control.push(passes)) {
        return Err(Errno::TOOBIG.into());
    }
    // The other end may be gone: that is an error here, not a signal that ends this process.
    let flags = SendFlags::NOSIGNAL;
    let send = || sendmsg(&channel, &[IoSlice::new(bytes)], &mut control, flags);
    retry_on_intr(send).map(drop).map_err(Into::into)
}

/// Waits for one packet; none when the other end is closed.
pub(crate) fn receive(channel: impl AsFd) -> io::Result<Option<Packet>> {
    let mut bytes = [0; PACKET_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        recvmsg(&channel, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    // Cut off: too long, or no descriptors are left in this process.
    if received
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(Errno::MFILE.into());
    }
    Ok((received.bytes > 0).then_some(Packet {
        bytes,
        length: received.bytes,
        descriptors,
    }))
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::CLOEXEC;
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
    }

    #[test]
    fn requests_and_answers_arrive_as_they_were_sent() {
        for family in [Family::V4, Family::V6] {
            let request = Request { family, count: 7 };
            assert_eq!(Request::parse(&request.to_bytes()).unwrap(), request);
        }
        for answer in [Ok(()), Err(Errno::PERM)] {
            assert_eq!(parse_answer(&answer_to_bytes(answer)).unwrap(), answer);
        }
        for bytes in [&[][..], &[5, 1], &[4], &[4, 1, 0]] {
            assert!(Request::parse(bytes).is_err());
            assert!(parse_answer(bytes).is_err());
        }
    }

    #[test]
    fn descriptors_pass_with_a_packet() {
        let (here, there) = pair();
        let passed = [here.as_fd(); SOCKETS_MAX];
        send(&here, &[4, 64], &passed).unwrap();
        let packet = receive(&there).unwrap().unwrap();
        assert_eq!(packet.bytes(), [4, 64]);
        assert_eq!(packet.descriptors.len(), SOCKETS_MAX);
        let too_many = [here.as_fd(); SOCKETS_MAX + 1];
        assert!(send(&here, &[4, 65], &too_many).is_err());
    }

    #[test]
    fn what_is_too_long_is_refused_and_a_closed_end_is_the_end() {
        let (here, there) = pair();
        send(&here, &[0; PACKET_BYTES_MAX + 1], &[]).unwrap();
        assert!(receive(&there).is_err());
        drop(here);
        assert!(receive(&there).unwrap().is_none());
        assert!(send(&there, &[0], &[]).is_err());
    }
}
