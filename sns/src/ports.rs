//! Which ports are taken, which are free, and which are taken twice. Pure: it is told which releases
//! use what, and knows neither files nor pod.yaml.

mod assign;
mod clash;
mod remembered;

use std::net::IpAddr;

use names::{ClusterPort, HostName, HostPort, ReleaseId};

pub(crate) use assign::{Assigner, OutOfPorts, is_automatic};
pub(crate) use clash::{clashes, shared_cluster_ports};
pub(crate) use remembered::{
    first_line, read_first_line, remembered_cluster_ports, without_first_line,
};

/// Where a host listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The host.
    pub(crate) host: HostName,
    /// The machine, as `host.env` names it; `local` is the operator's own.
    pub(crate) machine: String,
    /// The address that its pods listen on; all addresses of the machine when there is none.
    pub(crate) router: Option<IpAddr>,
    /// Whether syncs reach it, so that its proxy listens on the cluster ports of the project.
    pub(crate) takes_part: bool,
}

/// Ports that one release uses on one host. A port pair of one `expose` stands in one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortUse {
    /// The host.
    pub(crate) host: HostName,
    /// The release.
    pub(crate) release: ReleaseId,
    /// The port on the host.
    pub(crate) host_port: Option<HostPort>,
    /// The port in the cluster.
    pub(crate) cluster_port: Option<ClusterPort>,
    /// True when sns chose the port in the cluster; false for a number that the author wrote.
    pub(crate) is_automatic: bool,
    /// True when the release should run.
    pub(crate) is_running: bool,
}

impl Address {
    /// True when a port that one of two hosts listens on is taken for the other one too: both are the same
    /// machine, and do not have an address each.
    pub(crate) fn shares_ports_with(&self, other: &Self) -> bool {
        let apart = self.router.is_some() && other.router.is_some() && self.router != other.router;
        self.host == other.host || (self.machine == other.machine && !apart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, machine: &str, router: &str) -> Address {
        Address {
            host: host.parse().unwrap(),
            machine: machine.into(),
            router: router.parse().ok(),
            takes_part: true,
        }
    }

    #[test]
    fn who_shares_ports_with_whom() {
        let check = |one: (&str, &str, &str), other: (&str, &str, &str), expected: bool| {
            let (one, other) = (
                address(one.0, one.1, one.2),
                address(other.0, other.1, other.2),
            );
            assert_eq!(one.shares_ports_with(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.shares_ports_with(&one), expected, "{other:?} {one:?}");
        };
        check(
            ("a", "local", "127.0.0.1"),
            ("b", "local", "127.0.0.1"),
            true,
        );
        check(
            ("a", "local", "127.0.0.1"),
            ("b", "local", "127.0.0.2"),
            false,
        );
        check(("a", "local", "127.0.0.1"), ("b", "local", ""), true);
        check(("a", "local", ""), ("b", "local", ""), true);
        check(("a", "10.0.0.1", ""), ("b", "10.0.0.2", ""), false);
        check(
            ("a", "10.0.0.1", "10.0.0.1"),
            ("b", "10.0.0.1", "10.0.0.1"),
            true,
        );
        check(
            ("a", "local", "127.0.0.1"),
            ("a", "local", "127.0.0.2"),
            true,
        );
    }
}
