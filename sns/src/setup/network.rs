//! A network as `INTERNAL` names it, and who lies in it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Networks that nobody but their owner can use (RFC 1918, RFC 4193), and those of one link.
const PRIVATE: [&str; 7] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
];

/// An address and how many of its first bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// True when the address lies in it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                let above = |bits: u32| bits.checked_shr(shift).unwrap_or(0);
                above(own.to_bits()) == above(other.to_bits())
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                let above = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                above(own.to_bits()) == above(other.to_bits())
            }
            _ => false,
        }
    }

    /// True when it is one of IPv6.
    pub(crate) fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// True when all of it is private.
    pub(crate) fn is_private(&self) -> bool {
        let private = private();
        let around = |outer: &Network| outer.bits <= self.bits && outer.contains(self.address);
        private.iter().any(around)
    }
}

/// True when only private networks have such addresses.
pub(crate) fn is_private(address: IpAddr) -> bool {
    private().iter().any(|network| network.contains(address))
}

fn private() -> Vec<Network> {
    PRIVATE
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "`{text}` is no network: expected an address and how many bits count, as in 10.0.0.0/8"
            )
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = match bits {
            Some(bits) => bits.parse().map_err(|_| refused())?,
            None => max,
        };
        match bits <= max {
            true => Ok(Self {
                address: first(address, max - bits),
                bits,
            }),
            false => Err(refused()),
        }
    }
}

/// The first address of a network, by which all programs call it.
fn first(address: IpAddr, free: u8) -> IpAddr {
    let free = u32::from(free);
    match address {
        IpAddr::V4(own) => {
            let mask = u32::MAX.checked_shl(free).unwrap_or(0);
            IpAddr::from(Ipv4Addr::from_bits(own.to_bits() & mask))
        }
        IpAddr::V6(own) => {
            let mask = u128::MAX.checked_shl(free).unwrap_or(0);
            IpAddr::from(Ipv6Addr::from_bits(own.to_bits() & mask))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = if self.address.is_ipv4() { 32 } else { 128 };
        // A single address is called so: ufw does, and what it says is compared.
        match self.bits == max {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lies_in_a_network() {
        let check = |network: &str, address: &str, expected: bool| {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                expected,
                "{network} {address}"
            );
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "fd00::1", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.8", false);
        check("fd00::/8", "fd12::1", true);
        check("fd00::/8", "fe80::1", false);
    }

    #[test]
    fn a_network_has_one_name() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), expected);
        };
        check("10.1.2.3/8", "10.0.0.0/8");
        check("10.1.2.3/32", "10.1.2.3");
        check("10.1.2.3", "10.1.2.3");
        check("10.1.2.3/0", "0.0.0.0/0");
        check("fd12::1/8", "fd00::/8");
        check("fd12::1/128", "fd12::1");
        check("fd12::1/0", "::/0");
    }

    #[test]
    fn private_networks() {
        let check = |text: &str, expected: bool| {
            assert_eq!(
                text.parse::<Network>().unwrap().is_private(),
                expected,
                "{text}"
            );
        };
        check("10.1.0.0/16", true);
        check("172.16.0.0/12", true);
        // The original's default, which trusts public addresses.
        check("172.16.0.0/11", false);
        check("0.0.0.0/0", false);
        for text in ["", "10.0.0.0/33", "x/8", "10.0.0.0/-1", "::/129"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
