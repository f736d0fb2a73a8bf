//! Both directions of one connection, each with its own end.
//!
//! What one side says arrives at the other in the same order, no faster than the other side takes it.
//! When a side stops talking, the other is told so and may still answer; when a side breaks off, the
//! caller drops both sockets, which resets them. This module must not know who the two sides are.

use std::future::Future;
use std::io;
use std::pin::pin;

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::socket;

/// How many bytes are moved at once, at most.
const CHUNK_BYTES: usize = 64 * 1024;

/// Passes on what `from` says until it stops talking, and then tells `to` that this was all.
pub(crate) async fn one_way(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let mut buffer = Vec::new();
    while socket::receive(from, &mut buffer, CHUNK_BYTES).await? > 0 {
        socket::send(to, &buffer).await?;
        buffer.clear();
        // Two fast sides must not keep a thread to themselves.
        tokio::task::consume_budget().await;
    }
    socket::finish_sending(to)
}

/// Runs both directions to their ends: `up` from `client` to `server`, `down` the other way.
///
/// # Errors
/// One of the two broke off.
pub(crate) async fn join(
    (client, up): (&TcpStream, impl Future<Output = io::Result<()>>),
    (server, down): (&TcpStream, impl Future<Output = io::Result<()>>),
) -> io::Result<()> {
    let (mut up, mut down) = (pin!(up), pin!(down));
    let (mut up_runs, mut down_runs) = (true, true);
    while up_runs || down_runs {
        // A side that has said all is no longer read, so its breaking off has to be looked for.
        tokio::select! {
            ended = &mut up, if up_runs => { ended?; up_runs = false; }
            ended = &mut down, if down_runs => { ended?; down_runs = false; }
            broken = broken(client), if !up_runs => return Err(broken),
            broken = broken(server), if !down_runs => return Err(broken),
        }
    }
    Ok(())
}

/// Returns when the other end of a socket has broken off.
pub(crate) async fn broken(stream: &TcpStream) -> io::Error {
    match stream.ready(Interest::ERROR).await {
        Ok(_) => io::ErrorKind::ConnectionReset.into(),
        Err(error) => error,
    }
}
