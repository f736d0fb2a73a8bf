//! Lines over a stream, as two proxies say them to each other.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::time::{Instant, sleep_until};

use super::message::LINE_BYTES_MAX;
use super::ticket::SessionId;

/// What the side that calls says first; the other side says the same, and names the conversation.
pub(super) const GREETING: &str = "simplenetes 1\n";

/// What the secret of a conversation is for (RFC 5705, section 4, on labels that nobody has registered).
pub(super) const SECRET_LABEL: &[u8] = b"EXPERIMENTAL-simplenetes-ticket";

/// The answer to a greeting.
pub(super) fn answer(id: &SessionId) -> String {
    let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {name}\n", GREETING.trim_end())
}

/// The conversation that the answer names.
pub(super) fn session_named(answer: &str) -> Option<SessionId> {
    let name = answer
        .strip_prefix(GREETING.trim_end())?
        .strip_prefix(' ')?;
    let mut id = SessionId::default();
    if name.len() != id.len() * 2 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(name.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(id)
}

/// More lines than this in such a time are waited with, and so is whoever sends them. A host with tens of thousands
/// of ports has less to say.
const LINES_MAX: u32 = 20_000;
const LINES_IN: Duration = Duration::from_millis(100);

/// How fast the other side may talk.
#[derive(Debug)]
struct Pace {
    since: Instant,
    lines: u32,
}

impl Pace {
    /// One more line has come.
    async fn keep(&mut self) {
        self.lines += 1;
        if self.lines >= LINES_MAX {
            sleep_until(self.since + LINES_IN).await;
            (self.since, self.lines) = (Instant::now(), 0);
        }
    }
}

/// A stream of lines. To stop waiting for the next one loses nothing.
pub(super) struct Lines<S> {
    stream: BufReader<S>,
    begun: Vec<u8>,
    pace: Pace,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::with_capacity(1024, stream),
            begun: Vec::new(),
            pace: Pace {
                since: Instant::now(),
                lines: 0,
            },
        }
    }

    pub(super) fn stream(&self) -> &S {
        self.stream.get_ref()
    }

    /// The next line, without its end.
    pub(super) async fn next(&mut self) -> io::Result<String> {
        self.pace.keep().await;
        loop {
            let came = self.stream.fill_buf().await?;
            if came.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = came.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(came.len(), |end| end + 1);
            self.begun
                .extend_from_slice(came.get(..taken).unwrap_or_default());
            self.stream.consume(taken);
            if self.begun.len() > LINE_BYTES_MAX + 1 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if end.is_some() {
                let mut line = std::mem::take(&mut self.begun);
                line.pop();
                return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Says some lines.
    pub(super) async fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_have_names() {
        let id = [0xab; 16];
        let answer = answer(&id);
        assert_eq!(session_named(answer.trim_end()), Some(id));
        assert_eq!(session_named("simplenetes 2 00"), None);
        assert_eq!(session_named("simplenetes 1 +f"), None);
    }
}
