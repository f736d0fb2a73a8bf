//! What one proxy asks another for, behind the ticket of a connection, and the answer.
//!
//! ```text
//!  0  cluster port   2 bytes, big-endian
//!  2  client         16 bytes of IPv6 (IPv4 is mapped into it), 2 bytes of port
//! 20  destination    the same: where the client thinks that it is connected to
//! ```
//!
//! The client's bytes follow at once. The answer is one byte, and behind it come those of the backend, or nothing.
//! Pure; this module must not know any backend.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// How many bytes a request has.
pub(crate) const REQUEST_BYTES: usize = 38;
const ADDRESS_BYTES: usize = 18;

/// A client that wants to be served by the other host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The cluster port.
    pub port: u16,
    /// The real client.
    pub client: SocketAddr,
    /// Where it is connected to.
    pub destination: SocketAddr,
}

impl Request {
    /// As it goes over the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        let all = self.port.to_be_bytes().into_iter();
        let all = all
            .chain(address_bytes(self.client))
            .chain(address_bytes(self.destination));
        bytes.iter_mut().zip(all).for_each(|(to, byte)| *to = byte);
        bytes
    }

    /// Reads one; none when it asks for no cluster port.
    #[must_use]
    pub fn parse(bytes: &[u8; REQUEST_BYTES]) -> Option<Self> {
        let (port, rest) = bytes.split_first_chunk()?;
        let (client, rest) = rest.split_first_chunk()?;
        let destination = rest.first_chunk()?;
        let port = u16::from_be_bytes(*port);
        (port > 0).then_some(Self {
            port,
            client: address(client)?,
            destination: address(destination)?,
        })
    }
}

fn address_bytes(address: SocketAddr) -> impl Iterator<Item = u8> {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    ip.octets().into_iter().chain(address.port().to_be_bytes())
}

fn address(bytes: &[u8; ADDRESS_BYTES]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_first_chunk::<16>()?;
    let ip = Ipv6Addr::from(*ip).to_canonical();
    let port = u16::from_be_bytes(*port.first_chunk()?);
    Some(SocketAddr::new(ip, port))
}

/// What the other host says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// What follows is a backend's.
    Served,
    /// All its backends are full.
    Busy,
    /// No backend answers.
    Nothing,
}

impl Reply {
    /// As it goes over the wire.
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Served => b'S',
            Self::Busy => b'B',
            Self::Nothing => b'N',
        }
    }

    /// Reads one.
    pub(crate) fn parse(byte: u8) -> Option<Self> {
        [Self::Served, Self::Busy, Self::Nothing]
            .into_iter()
            .find(|reply| reply.to_byte() == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_understood() {
        let check = |client: &str, destination: &str| {
            let request = Request {
                port: 61000,
                client: client.parse().unwrap(),
                destination: destination.parse().unwrap(),
            };
            assert_eq!(Request::parse(&request.to_bytes()), Some(request));
        };
        check("10.0.0.1:4000", "10.0.0.2:61000");
        check("[fd00::1]:1", "[fd00::2]:65535");
        assert_eq!(Request::parse(&[0; REQUEST_BYTES]), None);
        for reply in [Reply::Served, Reply::Busy, Reply::Nothing] {
            assert_eq!(Reply::parse(reply.to_byte()), Some(reply));
        }
        assert_eq!(Reply::parse(0), None);
    }
}
