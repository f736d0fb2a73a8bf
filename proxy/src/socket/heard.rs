//! Whether the other end of a socket has said that it has said all, which a read does not always tell.
//!
//! A connection that was reset after its end looks like one that was reset before: the kernel tells the two apart
//! once only, in the first error, and a `splice` that had sent a part already keeps that one for itself. But the
//! kernel counts what it has received in order, and counts the end as one byte.

use std::io;
use std::os::fd::BorrowedFd;

use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};

/// Where `struct tcp_info` (linux/tcp.h) has `tcpi_bytes_received`.
const RECEIVED_AT: usize = 128;
/// As much of it as is needed.
const INFO_BYTES: usize = RECEIVED_AT + 8;

sockopt_impl!(
    /// The beginning of `struct tcp_info`.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u8; INFO_BYTES]
);

/// How many bytes the kernel has received in order, the end counted as one.
pub(super) fn received(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let info = getsockopt(&socket, TcpInfo)?;
    let bytes = info.get(RECEIVED_AT..).and_then(|rest| rest.first_chunk());
    bytes
        .map(|bytes| u64::from_ne_bytes(*bytes))
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn the_end_counts_as_one_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        far.write_all(b"four").unwrap();
        let mut heard = [0; 4];
        (&near).read_exact(&mut heard).unwrap();
        assert_eq!(received(near.as_fd()).unwrap(), 4);
        drop(far);
        assert_eq!((&near).read(&mut heard).unwrap(), 0);
        assert_eq!(received(near.as_fd()).unwrap(), 5);
    }
}
