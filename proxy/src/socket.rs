//! What the proxy does to every TCP socket of a connection that it carries.
//!
//! A socket that is simply dropped sends a *reset*, so that a connection which is cut short, by a
//! failure of the other side or of the proxy itself, can never pass for one that ended well. Only
//! [`end`] and [`end_in_order`] end it in order. This module must not know what flows through a socket.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::{Shutdown, sockopt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A peer that vanished without a word is noticed after about `KEEP_IDLE` + `KEEP_PROBES` ×
/// `KEEP_INTERVAL`, and gives its place in `maxConn` back.
const KEEP_IDLE: Duration = Duration::from_secs(60);
const KEEP_INTERVAL: Duration = Duration::from_secs(15);
const KEEP_PROBES: u32 = 4;

/// Makes a socket ready to carry a connection: small writes go at once, vanished peers are noticed,
/// and dropping it resets it.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEP_PROBES)?;
    Ok(())
}

/// Dials, for at most `patience`.
pub(crate) async fn dial(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = timeout(patience, TcpStream::connect(address))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    // A port on which nobody listens can, very rarely, be given to the dialling socket itself, and the
    // kernel then connects the socket with itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    prepare(&stream)?;
    Ok(stream)
}

/// Sends all of `bytes`, as fast as the other end takes them.
pub(crate) async fn send(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Adds what has arrived to `buffer`, waiting for the first byte; 0 means that no more will come.
/// Memory for up to `most` bytes is taken only once there is something to read.
pub(crate) async fn receive(
    stream: &TcpStream,
    buffer: &mut Vec<u8>,
    most: usize,
) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        buffer.reserve(most);
        match stream.try_read_buf(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if buffer.is_empty() {
                    *buffer = Vec::new();
                }
            }
            result => return result,
        }
    }
}

/// Says that no more bytes will be sent, and goes on receiving.
pub(crate) fn finish_sending(stream: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::shutdown(stream, Shutdown::Write)?)
}

/// From now on dropping this socket closes it in order: what was sent still arrives.
pub(crate) fn end_in_order(stream: &TcpStream) {
    // A socket that refuses the option is broken already, and there is nobody left to tell.
    let _ = sockopt::set_socket_linger(stream, None);
}

/// Closes a socket in order.
pub(crate) fn end(stream: TcpStream) {
    end_in_order(&stream);
    drop(stream);
}
