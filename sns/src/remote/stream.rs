//! What an SSH connection runs over: a socket, or a channel of the connection to a jump host.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::Channel;
use russh::client::Msg;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Sleep;

/// So long may nobody take what is sent: the beats of the protocol are not heard while a write waits.
pub(super) const WRITE_LIMIT: Duration = Duration::from_secs(15);

/// What may lie between two connections of a chain. The outer one must never wait for the inner one, which may
/// wait for the outer one in turn. The windows of the inner one's channels keep it from ever being full.
const BETWEEN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Either way to the next server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A channel of the connection to a jump host, as a stream.
pub(super) fn over(channel: Channel<Msg>) -> impl Stream {
    let (mut from_channel, to_channel) = tokio::io::split(channel.into_stream());
    let (from_here, mut to_here) = tokio::io::simplex(BETWEEN_BYTES_MAX);
    tokio::spawn(async move {
        // An end is an end, however it came; whoever reads is told.
        let _ = tokio::io::copy(&mut from_channel, &mut to_here).await;
        let _ = to_here.shutdown().await;
    });
    tokio::io::join(from_here, to_channel)
}

/// A stream whose writes fail when nothing is taken for too long.
pub(super) struct Watched<S> {
    stream: S,
    blocked: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    /// That stream, watched.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            blocked: None,
        }
    }

    /// Passes on what came of a write, unless it waits for too long already.
    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.blocked = None;
            return poll;
        }
        let blocked = self
            .blocked
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_LIMIT)));
        match blocked.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "nothing that was sent was taken any more",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watched(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.watched(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watched(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_nobody_takes_fails() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let error = runtime.block_on(async {
            let (near, _far) = tokio::io::duplex(16);
            Watched::new(near).write_all(&[0; 100]).await.unwrap_err()
        });
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
