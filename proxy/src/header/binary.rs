//! The PROXY protocol, version 2: the same in binary form, with fields for more (section 2.2 of the format's text).
//! What stands in those fields is skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Parsed, agrees};

/// What every header begins with. No protocol that people talk begins so.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, and the length of the rest.
const FIXED_BYTES: usize = 16;
/// The longest that is taken for a header, in bytes: addresses, and some certificates' worth of fields.
const LENGTH_BYTES_MAX: usize = 4096;

/// The sender speaks for itself.
const LOCAL: u8 = 0x20;
/// The sender speaks for somebody.
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// How many bytes two addresses and two ports take.
fn addresses_bytes(family: u8) -> usize {
    match family {
        TCP4 => 12,
        TCP6 => 36,
        _ => 0,
    }
}

/// Looks for a header at the beginning of `bytes`; as soon as one byte does not fit, there is none.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    if !agrees(bytes, SIGNATURE) {
        return Parsed::Foreign;
    }
    let mut fields = bytes.iter().skip(SIGNATURE.len()).copied();
    let Some(command) = fields.next() else {
        return Parsed::Partial;
    };
    if ![LOCAL, PROXY].contains(&command) {
        return Parsed::Foreign;
    }
    let (Some(family), Some(high), Some(low)) = (fields.next(), fields.next(), fields.next())
    else {
        return Parsed::Partial;
    };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    let length = FIXED_BYTES + rest;
    let is_short = command == PROXY && rest < addresses_bytes(family);
    if is_short || length > LENGTH_BYTES_MAX {
        return Parsed::Foreign;
    }
    match bytes.get(FIXED_BYTES..length) {
        None => Parsed::Partial,
        Some(_) if command == LOCAL => Parsed::Complete {
            header: Header::Unknown,
            length,
        },
        Some(addresses) => Parsed::Complete {
            // Datagrams and sockets of one machine have no addresses that would mean anything to a pod.
            header: addresses_in(family, addresses).unwrap_or(Header::Unknown),
            length,
        },
    }
}

/// The header in binary form. A sender that speaks for itself has no addresses there.
pub(super) fn bytes(header: &Header) -> Vec<u8> {
    let (command, family, addresses) = match header {
        Header::Unknown => (LOCAL, 0, Vec::new()),
        Header::Tcp {
            source,
            destination,
        } => addressed(*source, *destination),
    };
    // 36 at most.
    let length = u16::try_from(addresses.len()).unwrap_or_default();
    [
        SIGNATURE,
        &[command, family],
        &length.to_be_bytes(),
        &addresses,
    ]
    .concat()
}

fn addressed(source: SocketAddr, destination: SocketAddr) -> (u8, u8, Vec<u8>) {
    let mut addresses = Vec::with_capacity(addresses_bytes(TCP6));
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            addresses.extend(from.octets().into_iter().chain(to.octets()));
            TCP4
        }
        (from, to) => {
            addresses.extend(wide(from).into_iter().chain(wide(to)));
            TCP6
        }
    };
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    (PROXY, family, addresses)
}

fn wide(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn addresses_in(family: u8, bytes: &[u8]) -> Option<Header> {
    let (from, rest): (IpAddr, &[u8]) = match family {
        TCP4 => {
            let (from, rest) = bytes.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*from).into(), rest)
        }
        TCP6 => {
            let (from, rest) = bytes.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*from).into(), rest)
        }
        _ => return None,
    };
    let (to, rest): (IpAddr, &[u8]) = match family {
        TCP4 => {
            let (to, rest) = rest.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*to).into(), rest)
        }
        _ => {
            let (to, rest) = rest.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*to).into(), rest)
        }
    };
    let (source, rest) = rest.split_first_chunk::<2>()?;
    let (destination, _) = rest.split_first_chunk::<2>()?;
    Some(Header::Tcp {
        source: SocketAddr::new(from, u16::from_be_bytes(*source)),
        destination: SocketAddr::new(to, u16::from_be_bytes(*destination)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    fn check(bytes: &[u8], expected: Option<&str>) {
        let found = match parse(bytes) {
            Parsed::Complete { header, length } => {
                assert_eq!(length, bytes.len());
                Some(header.to_string())
            }
            Parsed::Foreign => None,
            Parsed::Partial => panic!("{bytes:?}"),
        };
        assert_eq!(found.as_deref(), expected, "{bytes:?}");
        for end in 0..bytes.len() {
            let part = parse(&bytes[..end]);
            assert!(
                part == Parsed::Partial || expected.is_none(),
                "{end}: {part:?}"
            );
        }
    }

    #[test]
    fn addresses_of_both_families() {
        let v4 = [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 1, 0];
        check(
            &header(PROXY, TCP4, &v4),
            Some("PROXY TCP4 1.2.3.4 5.6.7.8 9 256\r\n"),
        );
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
        check(
            &header(PROXY, TCP6, &v6),
            Some("PROXY TCP6 ::1 ::2 3 4\r\n"),
        );
        // More fields are skipped.
        let more = [&v4[..], &[4, 0, 3, 1, 2, 3]].concat();
        check(
            &header(PROXY, TCP4, &more),
            Some("PROXY TCP4 1.2.3.4 5.6.7.8 9 256\r\n"),
        );
    }

    #[test]
    fn whoever_speaks_for_itself_or_for_no_address() {
        let unknown = Some("PROXY UNKNOWN\r\n");
        check(&header(LOCAL, 0, &[]), unknown);
        check(&header(LOCAL, TCP4, &[1, 2]), unknown);
        check(&header(PROXY, 0, &[]), unknown);
        check(&header(PROXY, 0x12, &[0; 12]), unknown);
        check(&header(PROXY, 0x31, &[0; 216]), unknown);
    }

    #[test]
    fn headers_are_written() {
        let of = |from: &str, to: &str| Header::of(from.parse().unwrap(), to.parse().unwrap());
        let v4 = bytes(&of("1.2.3.4:9", "5.6.7.8:256"));
        assert_eq!(
            v4,
            header(PROXY, TCP4, &[1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 1, 0])
        );
        let v6 = bytes(&of("[::1]:3", "[::2]:4"));
        let mut addresses = [0; 36];
        (addresses[15], addresses[31], addresses[33], addresses[35]) = (1, 2, 3, 4);
        assert_eq!(v6, header(PROXY, TCP6, &addresses));
        check(
            &bytes(&of("1.2.3.4:9", "[::2]:4")),
            Some("PROXY TCP6 ::ffff:1.2.3.4 ::2 9 4\r\n"),
        );
        assert_eq!(bytes(&Header::Unknown), header(LOCAL, 0, &[]));
    }

    #[test]
    fn what_is_not_a_header() {
        check(b"\r\n\r\n\0\r\nQUIT\r", None);
        check(b"\r\n\r\nGET", None);
        check(&header(0x22, TCP4, &[0; 12]), None);
        check(&header(0x11, TCP4, &[0; 12]), None);
        check(&header(PROXY, TCP4, &[0; 11]), None);
        check(&header(PROXY, TCP6, &[0; 35]), None);
        check(&header(PROXY, TCP4, &vec![0; 4096 - 15]), None);
    }
}
