//! The helper: enters one namespace, and makes sockets there for as long as its door is open.
//!
//! It must stay the only thread of its process, and it loads nothing: what it holds when it is inside, the
//! host's files among it, must be out of reach of those who are inside as well.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::wire::{Answer, Family, Request, SOCKETS_MAX, answer_to_bytes, receive, send};

/// The first argument with which a program is started as a helper: it then calls [`serve`] and nothing else.
pub const SUBCOMMAND: &str = "reach";

/// Why a helper ends otherwise than by its door being closed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The kernel does not close this process to others.
    #[error("cannot close this process to others")]
    Close(#[source] io::Error),
    /// The conversation broke off, or nobody has started one.
    #[error("cannot talk on standard input: this command is started by other programs only")]
    Talk(#[source] io::Error),
}

/// Runs the helper: what it is asked for on standard input, a socket, is answered there.
///
/// # Errors
/// The other end does not talk as a door does.
pub fn serve() -> Result<(), ServeError> {
    // Whoever is root inside could otherwise trace this process once it is there, and the host's files with it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| ServeError::Close(error.into()))?;
    serve_on(io::stdin().as_fd()).map_err(ServeError::Talk)
}

fn serve_on(channel: BorrowedFd<'_>) -> io::Result<()> {
    let Some(first) = receive(channel)? else {
        return Ok(());
    };
    let [process] = first.descriptors.as_slice() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the first packet brings no process",
        ));
    };
    let entered = enter(process.as_fd());
    send(channel, &answer_to_bytes(entered), &[])?;
    if entered.is_err() {
        return Ok(());
    }
    while let Some(packet) = receive(channel)? {
        let made = sockets(Request::parse(packet.bytes())?);
        let (answer, sockets): (Answer, _) = match made {
            Ok(sockets) => (Ok(()), sockets),
            Err(error) => (Err(error), Vec::new()),
        };
        let passed: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
        send(channel, &answer_to_bytes(answer), &passed)?;
    }
    Ok(())
}

/// Root may enter a network namespace as it is. Anybody else has to be root of a user namespace that owns it
/// or lies above that, and so joins the user namespace in the same call.
fn enter(process: BorrowedFd<'_>) -> Answer {
    let network = ThreadNameSpaceType::NETWORK;
    let entered = move_into_thread_name_spaces(process, network);
    if entered != Err(Errno::PERM) {
        return entered;
    }
    match move_into_thread_name_spaces(process, ThreadNameSpaceType::USER | network) {
        // The process is in our own user namespace: joining it would bring nothing.
        Err(Errno::INVAL) => entered,
        entered => entered,
    }
}

fn sockets(request: Request) -> Result<Vec<OwnedFd>, Errno> {
    let Request { family, count } = request;
    if usize::from(count) > SOCKETS_MAX {
        return Err(Errno::TOOBIG);
    }
    let family = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let make = |_| socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP));
    (0..count).map(make).collect()
}
