//! How the original's proxies talk: one line each way, and then the client's stream. Spoken where the setting
//! `LEGACY` allows it, so that hosts can be moved over one by one. It proves nothing and hides nothing.
//!
//! The asking side sends a PROXY v1 line whose last field is the cluster port (and which, here, tells the real client);
//! the answer is `SENDPROXY=true`, `SENDPROXY=false` or `BUSY`, or the connection is closed without
//! one. The answer can only say that some header is wanted: the asking side then sends one of version 1, and
//! what its client brings is optional, whatever the backend said about versions and about its clients' headers.
//! Neither side waits for more than the line. Pure; this module must not know any backend.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::header::{self, Header, Parsed};

/// How long one proxy waits for a line of the other, as in the original: it tries its backends meanwhile.
pub(crate) const LINE_MAX: Duration = Duration::from_secs(3);

/// How much is read at once while a line is expected, in bytes.
pub(crate) const READ_BYTES: usize = 4096;

/// What a proxy says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The stream of a backend follows.
    Accepted {
        /// Whether the backend wants a PROXY header, which the asking side has to send.
        send_proxy: bool,
    },
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

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<T> {
    /// A whole line of that many bytes.
    Whole(T, usize),
    Partial,
    Foreign,
}

/// The line by which a cluster port is asked for. Only its last field counts, and the original knows IPv4 alone: for
/// other clients the addresses are those that it writes itself.
pub(crate) fn request(client: SocketAddr, destination: IpAddr, port: u16) -> String {
    match Header::of(client, SocketAddr::new(destination, port)) {
        header @ Header::Tcp { source, .. } if source.is_ipv4() => header.to_string(),
        Header::Tcp { .. } | Header::Unknown => {
            format!("PROXY TCP4 1.2.3.4 1.2.3.4 123 {port}\r\n")
        }
    }
}

/// What another proxy asks for: a cluster port.
pub(crate) fn parse_request(bytes: &[u8]) -> Line<u16> {
    match header::parse_line(bytes) {
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
    }
}

/// What another proxy answers.
pub(crate) fn parse_answer(bytes: &[u8]) -> Line<Answer> {
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
    fn requests_are_ones_that_the_original_understands() {
        let check = |client: &str, destination: &str, expected: &str| {
            let line = request(client.parse().unwrap(), destination.parse().unwrap(), 61000);
            assert_eq!(line, format!("PROXY TCP4 {expected} 61000\r\n"));
            assert_eq!(
                parse_request(line.as_bytes()),
                Line::Whole(61000, line.len())
            );
        };
        check("10.0.0.1:7", "10.0.0.2", "10.0.0.1 10.0.0.2 7");
        check("[::ffff:10.0.0.1]:7", "10.0.0.2", "10.0.0.1 10.0.0.2 7");
        check("[fd00::1]:7", "fd00::2", "1.2.3.4 1.2.3.4 123");
        check("[fd00::1]:7", "10.0.0.2", "1.2.3.4 1.2.3.4 123");
    }

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
