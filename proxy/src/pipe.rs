//! Both directions of one connection, each with its own end.
//!
//! What one side says arrives at the other in the same order, no faster than the other side takes it.
//! When a side stops talking, the other is told so and may still answer. When a side breaks off, what
//! it had said before still arrives, and then the caller drops both sockets, which resets them.

use std::future::{Future, Ready};
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::socket;

/// How many bytes are moved at once, at most.
const CHUNK_BYTES: usize = 64 * 1024;

/// How long the last words of a broken connection may take to arrive, and how long a client may talk
/// on after its server has left.
const GOODBYE_MAX: Duration = Duration::from_secs(10);

/// Why a direction ended before everything was said.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The side that talks broke off.
    Talker(io::Error),
    /// The side that listens takes no more.
    Listener(io::Error),
}

/// Passes on what `from` says until it stops talking.
pub(crate) async fn one_way(from: &TcpStream, to: &TcpStream) -> Result<(), Stopped> {
    let mut buffer = Vec::new();
    while socket::receive(from, &mut buffer, CHUNK_BYTES)
        .await
        .map_err(Stopped::Talker)?
        > 0
    {
        send(to, &buffer).await?;
        buffer.clear();
        // Two fast sides must not keep a thread to themselves.
        tokio::task::consume_budget().await;
    }
    Ok(())
}

/// Sends to the side that listens.
pub(crate) async fn send(to: &TcpStream, bytes: &[u8]) -> Result<(), Stopped> {
    socket::send(to, bytes).await.map_err(Stopped::Listener)
}

/// Runs both directions to their ends: `up` from `client` to `server`, `down` the other way.
///
/// # Errors
/// One of the two broke off. What it had said before was passed on.
pub(crate) async fn join(
    (client, up): (&TcpStream, impl Future<Output = Result<(), Stopped>>),
    (server, down): (&TcpStream, impl Future<Output = Result<(), Stopped>>),
) -> io::Result<()> {
    let (mut up, mut down) = (pin!(up), pin!(down));
    let (mut up_runs, mut down_runs) = (true, true);
    while up_runs || down_runs {
        // A side that has said all is no longer read, so its breaking off has to be looked for.
        tokio::select! {
            ended = &mut up, if up_runs => match ended.and_then(|()| finish(server)) {
                Ok(()) => up_runs = false,
                Err(Stopped::Talker(error)) => return Err(error),
                Err(Stopped::Listener(error)) => {
                    say_goodbye(client, down_runs.then_some(down), ended_before(&error)).await;
                    return Err(error);
                }
            },
            ended = &mut down, if down_runs => match ended.and_then(|()| finish(client)) {
                Ok(()) => down_runs = false,
                Err(Stopped::Talker(error)) => return Err(error),
                Err(Stopped::Listener(error)) => {
                    // Nobody wants an answer any more, but what the client has said still counts.
                    if up_runs {
                        let _ = timeout(GOODBYE_MAX, up).await;
                    }
                    return Err(error);
                }
            },
            error = broken(client), if !up_runs => return Err(error),
            error = broken(server), if !down_runs => {
                say_goodbye(client, None::<Ready<_>>, true).await;
                return Err(error);
            }
        }
    }
    Ok(())
}

fn finish(to: &TcpStream) -> Result<(), Stopped> {
    socket::finish_sending(to).map_err(Stopped::Listener)
}

/// Whether a side that takes no more had said that it has nothing more to say. The kernel tells these
/// two only from a reset that came after the end of the stream, any other reset by its own name.
fn ended_before(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
    )
}

/// Ends a client whose server takes no more, such as one that answers early and closes.
///
/// First the client gets the `rest` of the answer. If that is all of it (`whole`), the client is told
/// so, and may talk on to nobody until it has read the answer; else it is left for the caller to reset.
/// What it says is thrown away all the time, because it may read only after it has said everything.
async fn say_goodbye(
    client: &TcpStream,
    rest: Option<impl Future<Output = Result<(), Stopped>>>,
    whole: bool,
) {
    let answer = async {
        if let Some(rest) = rest {
            rest.await?;
            if !whole {
                return Err(Stopped::Talker(io::ErrorKind::ConnectionReset.into()));
            }
            finish(client)?;
        }
        socket::end_in_order(client);
        Ok(())
    };
    // However this ends, the caller has the error that matters.
    let _ = timeout(GOODBYE_MAX, async {
        tokio::try_join!(answer, throw_away(client))
    })
    .await;
}

/// Listens until nothing more comes.
async fn throw_away(from: &TcpStream) -> Result<(), Stopped> {
    let mut buffer = Vec::new();
    while socket::receive(from, &mut buffer, CHUNK_BYTES)
        .await
        .map_err(Stopped::Talker)?
        > 0
    {
        buffer.clear();
        tokio::task::consume_budget().await;
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
