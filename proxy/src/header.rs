//! The PROXY protocol: in front of a stream it says who the client really is, in one line of text (version 1) or
//! in binary form (version 2).
//!
//! Pure: bytes in, values out. The format is section 2 of HAProxy's `proxy-protocol.txt`. This
//! module must not know who wants which header or how long somebody waits for one.

mod binary;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::{FromStr, SplitN};

use names::SendProxy;
use serde::{Deserialize, Serialize};

/// No version 1 header is longer than this, in bytes, its line end included (from the format's text).
pub const LENGTH_BYTES_MAX: usize = 107;

/// What every header begins with.
const SIGNATURE: &[u8] = b"PROXY ";

/// Who talks to whom, as the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Header {
    /// `PROXY TCP4 …` or `PROXY TCP6 …`; both addresses are of the same family.
    Tcp {
        /// The real client.
        source: SocketAddr,
        /// Where the client thinks that it is connected to.
        destination: SocketAddr,
    },
    /// `PROXY UNKNOWN`: the sender speaks for itself (a health check), or knows no addresses.
    Unknown,
}

/// What the first bytes of a stream turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A whole header that takes up the first `length` bytes.
    Complete {
        /// What it says.
        header: Header,
        /// Its length in bytes, with its line end.
        length: usize,
    },
    /// Every byte so far fits a header, and more have to come.
    Partial,
    /// This is not a header, whatever follows.
    Foreign,
}

impl Header {
    /// The header for a connection between two sockets. Addresses of IPv4 that are written as IPv6
    /// are taken for what they are; when only one of the two is IPv4, both are written as IPv6.
    #[must_use]
    pub fn of(source: SocketAddr, destination: SocketAddr) -> Self {
        let plain =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (source, destination) = (plain(source), plain(destination));
        if source.is_ipv4() == destination.is_ipv4() {
            Self::Tcp {
                source,
                destination,
            }
        } else {
            Self::Tcp {
                source: as_v6(source),
                destination: as_v6(destination),
            }
        }
    }

    /// The header in the form that is wanted; nothing where none is.
    #[must_use]
    pub fn bytes(&self, wanted: SendProxy) -> Vec<u8> {
        match wanted {
            SendProxy::None => Vec::new(),
            SendProxy::V1 => self.to_string().into_bytes(),
            SendProxy::V2 => binary::bytes(self),
        }
    }
}

fn as_v6(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(ip) => SocketAddr::new(ip.into(), address.port()),
    }
}

/// The header as it goes over the wire, with its line end.
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("PROXY UNKNOWN\r\n"),
            Self::Tcp {
                source,
                destination,
            } => {
                let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from, to) = (source.ip(), destination.ip());
                write!(
                    f,
                    "PROXY {family} {from} {to} {} {}\r\n",
                    source.port(),
                    destination.port()
                )
            }
        }
    }
}

/// Looks for a header of either version at the beginning of `bytes`.
///
/// As soon as one byte does not fit, the answer is [`Parsed::Foreign`], so that a stream which only
/// resembles a header is held back no longer than it has to be.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    if is_binary(bytes) {
        binary::parse(bytes)
    } else {
        parse_line(bytes)
    }
}

/// Whether these bytes can be a header of version 2 only.
#[must_use]
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'\r')
}

/// The same for version 1 alone.
#[must_use]
pub fn parse_line(bytes: &[u8]) -> Parsed {
    if !agrees(bytes, SIGNATURE) {
        return Parsed::Foreign;
    }
    let seen = bytes.get(..LENGTH_BYTES_MAX).unwrap_or(bytes);
    match seen.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => seen
            .get(..end)
            .and_then(line)
            .map_or(Parsed::Foreign, |header| Parsed::Complete {
                header,
                length: end + 2,
            }),
        None if bytes.len() >= LENGTH_BYTES_MAX || !may_become_header(seen) => Parsed::Foreign,
        None => Parsed::Partial,
    }
}

/// True when one of the two is the beginning of the other.
fn agrees(bytes: &[u8], pattern: &[u8]) -> bool {
    bytes
        .iter()
        .zip(pattern)
        .all(|(byte, wanted)| byte == wanted)
}

fn may_become_header(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(SIGNATURE) else {
        return true;
    };
    // The line end may have come by half.
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    let family = |name: &[u8], letters: fn(&u8) -> bool| {
        agrees(rest, name) && rest.iter().skip(name.len()).all(letters)
    };
    family(b"TCP4 ", |b| b.is_ascii_digit() || b". ".contains(b))
        || family(b"TCP6 ", |b| b.is_ascii_hexdigit() || b".: ".contains(b))
        || family(b"UNKNOWN", |b| !b"\r\n".contains(b))
}

/// One line without its end.
fn line(bytes: &[u8]) -> Option<Header> {
    let text = std::str::from_utf8(bytes).ok()?;
    let rest = text.strip_prefix("PROXY ")?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        // The format says: ignore whatever stands before the end of the line. Half a line end is not
        // whatever, lest a byte be foreign first and fit later.
        return (!rest.contains(['\r', '\n'])).then_some(Header::Unknown);
    }
    let (family, rest) = rest.split_once(' ')?;
    // Five, so that anything after the fourth field is seen and refused.
    let mut words = rest.splitn(5, ' ');
    let from: IpAddr = next(&mut words)?;
    let to: IpAddr = next(&mut words)?;
    let source = SocketAddr::new(from, port(words.next()?)?);
    let destination = SocketAddr::new(to, port(words.next()?)?);
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then_some(Header::Tcp {
        source,
        destination,
    })
}

fn next<T: FromStr>(words: &mut SplitN<'_, char>) -> Option<T> {
    words.next()?.parse().ok()
}

/// A decimal port without sign, blanks or leading zeros.
fn port(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Parsed) {
        assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
    }

    fn tcp(source: &str, destination: &str) -> Header {
        Header::Tcp {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    #[test]
    fn whole_headers() {
        let complete = |text: &str, length: usize, header: Header| {
            check(text, Parsed::Complete { header, length });
        };
        complete(
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n",
            33,
            tcp("1.2.3.4:9", "5.6.7.8:10"),
        );
        complete(
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nGET /",
            33,
            tcp("1.2.3.4:9", "5.6.7.8:10"),
        );
        complete(
            "PROXY TCP6 ::1 fe80::2 0 65535\r\n",
            32,
            tcp("[::1]:0", "[fe80::2]:65535"),
        );
        complete("PROXY UNKNOWN\r\n", 15, Header::Unknown);
        complete("PROXY UNKNOWN ff::1 ff::2 1 2\r\nx", 31, Header::Unknown);
    }

    #[test]
    fn every_beginning_of_a_header_is_partial() {
        for text in [
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            "PROXY TCP6 ffff:f:f:f:f:f:f:ffff ::1 65535 65535\r\n",
            "PROXY UNKNOWN anything\r\n",
        ] {
            for end in 0..text.len() {
                check(&text[..end], Parsed::Partial);
            }
        }
    }

    #[test]
    fn what_is_not_a_header() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "P\r\n",
            "PROXX",
            "proxy TCP4 ",
            "PROXY HTTP",
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 10 11\r\n",
            "PROXY TCP4  1.2.3.4 5.6.7.8 9 10\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 65536\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 09 10\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +9 10\r\n",
            "PROXY TCP4 01.2.3.4 5.6.7.8 9 10\r\n",
            "PROXY TCP4 ::1 ::2 9 10\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 9 10\r\n",
            "PROXY TCP4 one",
            "PROXY UNKNOWNS\r\n",
            "PROXY UNKNOWN \r\r\n",
        ] {
            check(text, Parsed::Foreign);
        }
        check(
            &format!("PROXY UNKNOWN {}", "x".repeat(LENGTH_BYTES_MAX)),
            Parsed::Foreign,
        );
    }

    #[test]
    fn headers_of_sockets() {
        let of = |a: &str, b: &str| Header::of(a.parse().unwrap(), b.parse().unwrap()).to_string();
        assert_eq!(
            of("1.2.3.4:5", "6.7.8.9:10"),
            "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"
        );
        assert_eq!(
            of("[::ffff:1.2.3.4]:5", "6.7.8.9:10"),
            "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"
        );
        assert_eq!(of("[::1]:5", "[::2]:10"), "PROXY TCP6 ::1 ::2 5 10\r\n");
        assert_eq!(
            of("1.2.3.4:5", "[::2]:10"),
            "PROXY TCP6 ::ffff:1.2.3.4 ::2 5 10\r\n"
        );
    }
}
