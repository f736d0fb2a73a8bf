//! How two proxies talk: one line each way, and then the client's stream.
//!
//! The line protocol of the original, so that hosts can be moved over one by one: the asking side
//! sends a PROXY v1 line whose last field is the cluster port (and which, here, tells the real client);
//! the answer is `SENDPROXY=true`, `SENDPROXY=false` or `BUSY`, or the connection is closed without
//! one. Neither side waits for more than the line. This module must not know any backend.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::header::{self, Header, Parsed};
use crate::socket;

/// How long to dial another proxy.
const DIAL_MAX: Duration = Duration::from_secs(1);

/// How long a line may take, in either direction; as in the original. It covers the time in which the
/// other side tries its backends.
const LINE_MAX: Duration = Duration::from_secs(3);

/// How much is read at once while a line is expected, in bytes.
const READ_BYTES: usize = 4096;

/// What a proxy says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The stream of a backend follows.
    Accepted { send_proxy: bool },
    /// All backends are full.
    Busy,
}

/// The line as it goes over the wire.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { send_proxy } => write!(f, "SENDPROXY={send_proxy}\r\n"),
            Self::Busy => f.write_str("BUSY\r\n"),
        }
    }
}

/// A stream to a backend on another host.
pub(crate) struct Granted {
    pub(crate) stream: TcpStream,
    /// Whether the backend wants a PROXY header, which the asking side has to send.
    pub(crate) send_proxy: bool,
    /// What the backend has said already.
    pub(crate) first: Vec<u8>,
}

/// Why another proxy gave no stream.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It has backends, and all are full.
    Busy,
    /// It closed: no backend there answers.
    Nothing,
    /// It cannot be reached, is too slow, or does not speak the protocol.
    Failed(io::Error),
}

/// Asks another proxy for the cluster port that is the destination of `header`.
pub(crate) async fn ask(peer: SocketAddr, header: &Header) -> Result<Granted, Refusal> {
    let stream = socket::dial(peer, DIAL_MAX)
        .await
        .map_err(Refusal::Failed)?;
    let request = header.to_string();
    let exchange = async {
        socket::send(&stream, request.as_bytes()).await?;
        read_line(&stream, &mut Vec::new(), parse_answer).await
    };
    let line = timeout(LINE_MAX, exchange)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match line.map_err(Refusal::Failed)? {
        Some((Answer::Accepted { send_proxy }, first)) => Ok(Granted {
            stream,
            send_proxy,
            first,
        }),
        Some((Answer::Busy, _)) => Err(Refusal::Busy),
        None => Err(Refusal::Nothing),
    }
}

/// What another proxy asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A backend of this cluster port; and what its client has said already.
    Port(u16, Vec<u8>),
    /// Nothing at all: it has not said a word, like a probe that only looks whether the port is open.
    Nothing,
    /// Something that cannot be understood.
    Foreign,
}

/// Reads what another proxy asks for.
pub(crate) async fn request(stream: &TcpStream) -> io::Result<Request> {
    let mut heard = Vec::new();
    let line = read_line(stream, &mut heard, |bytes| match header::parse(bytes) {
        Parsed::Complete {
            header: Header::Tcp { destination, .. },
            length,
        } => Line::Whole(destination.port(), length),
        Parsed::Partial => Line::Partial,
        Parsed::Complete {
            header: Header::Unknown,
            ..
        }
        | Parsed::Foreign => Line::Foreign,
    });
    match timeout(LINE_MAX, line).await {
        Ok(Ok(Some((port, first)))) => Ok(Request::Port(port, first)),
        Ok(Ok(None)) => Ok(Request::Nothing),
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Ok(Request::Foreign),
        Ok(Err(error)) => Err(error),
        Err(_) if heard.is_empty() => Ok(Request::Nothing),
        Err(_) => Ok(Request::Foreign),
    }
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
enum Line<T> {
    /// A whole line of that many bytes.
    Whole(T, usize),
    Partial,
    Foreign,
}

/// Reads one line into `bytes`, and what came with it. `None` when the other side ends without having said a word.
async fn read_line<T>(
    stream: &TcpStream,
    bytes: &mut Vec<u8>,
    parse: impl Fn(&[u8]) -> Line<T>,
) -> io::Result<Option<(T, Vec<u8>)>> {
    loop {
        match parse(bytes) {
            Line::Whole(value, length) => return Ok(Some((value, bytes.split_off(length)))),
            Line::Partial => {}
            Line::Foreign => return Err(io::ErrorKind::InvalidData.into()),
        }
        if socket::receive(stream, bytes, READ_BYTES).await? == 0 {
            return if bytes.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

fn parse_answer(bytes: &[u8]) -> Line<Answer> {
    let answers = [
        Answer::Accepted { send_proxy: true },
        Answer::Accepted { send_proxy: false },
        Answer::Busy,
    ];
    for answer in answers {
        let line = answer.to_string();
        if bytes.starts_with(line.as_bytes()) {
            return Line::Whole(answer, line.len());
        }
        if line.as_bytes().starts_with(bytes) {
            return Line::Partial;
        }
    }
    Line::Foreign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let check = |text: &str, expected: Line<Answer>| {
            assert_eq!(parse_answer(text.as_bytes()), expected, "{text:?}");
        };
        check(
            "SENDPROXY=true\r\n",
            Line::Whole(Answer::Accepted { send_proxy: true }, 16),
        );
        check(
            "SENDPROXY=false\r\nhello",
            Line::Whole(Answer::Accepted { send_proxy: false }, 17),
        );
        check("BUSY\r\n", Line::Whole(Answer::Busy, 6));
        for text in [
            "",
            "S",
            "SENDPROXY=",
            "SENDPROXY=f",
            "SENDPROXY=true\r",
            "BUSY",
        ] {
            check(text, Line::Partial);
        }
        for text in ["BUSY\n", "SENDPROXY=yes", "HTTP/1.1 200 OK", "busy"] {
            check(text, Line::Foreign);
        }
    }
}
