//! A loopback address on which the demo's ports are free, so that it runs beside whatever is there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, Result};

/// The router's port, as in every cluster.
const ROUTER_PORT: u16 = 32767;

/// What the demo listens on: the router, the first automatic host ports, the first cluster ports.
const PORTS: [u16; 5] = [ROUTER_PORT, 30000, 30001, 61000, 61001];

/// The address for `--router-address`: on 127.0.0.1, or on a neighbour when a port is taken there.
pub(super) fn router() -> Result<SocketAddr> {
    let candidates = (1..=250).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
    let free = candidates
        .into_iter()
        .find(|address| PORTS.iter().all(|port| is_free(*address, *port)));
    let address =
        free.context("ports 30000, 32767 and 61000 are taken on all loopback addresses")?;
    Ok(SocketAddr::new(address, ROUTER_PORT))
}

fn is_free(address: IpAddr, port: u16) -> bool {
    TcpListener::bind((address, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let SocketAddr::V4(address) = taken.local_addr().unwrap() else {
            unreachable!()
        };
        assert!(!is_free(IpAddr::V4(*address.ip()), address.port()));
        assert!(is_free(
            IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)),
            address.port()
        ));
    }
}
