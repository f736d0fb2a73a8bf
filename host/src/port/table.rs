//! `/proc/net/tcp` and `/proc/net/tcp6`: who listens where. Pure: text in, listeners out.
//!
//! The format is that of `Documentation/networking/proc_net_tcp.rst` of Linux.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// One socket that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    /// The user who made it.
    pub(super) uid: u32,
    /// What its descriptors link to: `socket:[INODE]`.
    pub(super) inode: u64,
}

impl Listener {
    /// True when nobody else can listen there while this socket does.
    pub(super) fn holds(&self, wanted: SocketAddr) -> bool {
        let (ip, other) = (self.address.ip().to_canonical(), wanted.ip().to_canonical());
        let meets = match (ip, other) {
            (IpAddr::V6(ip), IpAddr::V4(_)) => ip.is_unspecified(),
            (IpAddr::V4(_), IpAddr::V6(other)) => other.is_unspecified(),
            _ => ip == other || ip.is_unspecified() || other.is_unspecified(),
        };
        meets && self.address.port() == wanted.port()
    }
}

/// The sockets that listen; lines that say something else are left out.
pub(super) fn listeners(table: &str) -> impl Iterator<Item = Listener> {
    table.lines().filter_map(listener)
}

fn listener(line: &str) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let address = address(fields.next()?)?;
    let is_listening = fields.nth(1)? == LISTEN;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    is_listening.then_some(Listener {
        address,
        uid,
        inode,
    })
}

/// Words of 32 bits in the byte order of the machine, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for at in (0..ip.len()).step_by(8) {
        let word = u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).map(Ipv4Addr::from).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).map(Ipv6Addr::from).ok()?),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        let check = |line: &str, expected: Option<(&str, u32, u64)>| {
            let found = listener(line);
            let expected = expected.map(|(address, uid, inode)| Listener {
                address: address.parse().unwrap(),
                uid,
                inode,
            });
            assert_eq!(found, expected, "{line}");
        };
        check(
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0",
            Some(("127.0.0.1:8080", 1000, 4711)),
        );
        check(
            "   1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0000000000000000 100 0 0 10 0",
            Some(("[::]:80", 0, 12)),
        );
        check(
            "   2: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1",
            Some(("[::ffff:127.0.0.1]:81", 0, 13)),
        );
        check(
            "   3: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1",
            None,
        );
        check(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            None,
        );
        check("   4: 010000:1F90 0 0A 0 0 0 0 0 0", None);
        check("", None);
    }

    #[test]
    fn an_address_of_all_meets_every_other() {
        let check = |holds: &str, wanted: &str, expected: bool| {
            let listener = Listener {
                address: holds.parse().unwrap(),
                uid: 0,
                inode: 1,
            };
            assert_eq!(
                listener.holds(wanted.parse().unwrap()),
                expected,
                "{holds} {wanted}"
            );
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("0.0.0.0:80", "127.0.0.2:80", true);
        check("127.0.0.1:80", "0.0.0.0:80", true);
        check("[::]:80", "127.0.0.1:80", true);
        check("[::1]:80", "127.0.0.1:80", false);
        check("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "[::]:80", true);
        check("127.0.0.1:80", "[::1]:80", false);
    }
}
