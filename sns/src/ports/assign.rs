//! Free ports for `${HOSTPORTAUTOx}` and `${CLUSTERPORTAUTOx}`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use names::HostName;

use super::{Address, PortUse};

/// Automatic host ports, 2000 for each host.
const HOST_PORTS: RangeInclusive<u16> = 30000..=31999;
/// Automatic cluster ports, 3000 for the whole cluster.
const CLUSTER_PORTS: RangeInclusive<u16> = 61000..=63999;

const HOST_PREFIX: &str = "HOSTPORTAUTO";
const CLUSTER_PREFIX: &str = "CLUSTERPORTAUTO";

/// There is no free port left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no free {what} port is left between {first} and {last}")]
pub(crate) struct OutOfPorts {
    what: &'static str,
    first: u16,
    last: u16,
}

/// Hands out ports during one compile: a host port is per host, a cluster port is the same on all hosts.
#[derive(Debug)]
pub(crate) struct Assigner {
    addresses: Vec<Address>,
    host_ports: BTreeMap<HostName, BTreeSet<u16>>,
    cluster_ports: BTreeSet<u16>,
    assigned_cluster_ports: BTreeMap<String, u16>,
    assigned_host_ports: BTreeMap<(HostName, String), u16>,
}

/// True for names that stand for a port which sns chooses.
pub(crate) fn is_automatic(variable: &str) -> bool {
    kind(variable).is_some()
}

/// True for names that stand for a port in the cluster which sns chooses.
pub(super) fn is_cluster_port(variable: &str) -> bool {
    kind(variable) == Some(false)
}

/// True for a host port, false for a cluster port.
fn kind(variable: &str) -> Option<bool> {
    let is_host = variable.strip_prefix(HOST_PREFIX).map(|rest| (rest, true));
    let found = is_host.or_else(|| {
        variable
            .strip_prefix(CLUSTER_PREFIX)
            .map(|rest| (rest, false))
    });
    found
        .filter(|(rest, _)| !rest.is_empty())
        .map(|(_, is_host)| is_host)
}

impl Assigner {
    /// Knows what is taken. `reserved` are numbers that stand in the pod's own text: they are left alone,
    /// so that an automatic port never hits a fixed one of the same pod.
    pub(crate) fn new(addresses: Vec<Address>, uses: &[PortUse], reserved: &BTreeSet<u16>) -> Self {
        let mut host_ports: BTreeMap<HostName, BTreeSet<u16>> = BTreeMap::new();
        for address in &addresses {
            host_ports.insert(address.host.clone(), reserved.clone());
        }
        let mut cluster_ports = reserved.clone();
        for taken in uses {
            if let Some(port) = taken.host_port {
                host_ports
                    .entry(taken.host.clone())
                    .or_default()
                    .insert(port.get());
            }
            cluster_ports.extend(taken.cluster_port.map(names::ClusterPort::get));
        }
        Self {
            addresses,
            host_ports,
            cluster_ports,
            assigned_cluster_ports: BTreeMap::new(),
            assigned_host_ports: BTreeMap::new(),
        }
    }

    /// Keeps a cluster port that the same release already has on another host.
    pub(crate) fn keep_cluster_port(&mut self, variable: &str, port: u16) {
        self.cluster_ports.insert(port);
        self.assigned_cluster_ports
            .entry(variable.to_owned())
            .or_insert(port);
    }

    /// The port for a variable of [`is_automatic`] on a host: the same again when it is asked again.
    pub(crate) fn port(&mut self, host: &HostName, variable: &str) -> Result<u16, OutOfPorts> {
        if kind(variable) == Some(true) {
            self.host_port(host, variable)
        } else {
            self.cluster_port(variable)
        }
    }

    /// The automatic ports of one host, as they were handed out.
    pub(crate) fn assigned(&self, host: &HostName) -> BTreeMap<String, u16> {
        let of_host = self
            .assigned_host_ports
            .iter()
            .filter(|((owner, _), _)| owner == host);
        let of_host = of_host.map(|((_, variable), port)| (variable.clone(), *port));
        of_host.chain(self.assigned_cluster_ports.clone()).collect()
    }

    fn cluster_port(&mut self, variable: &str) -> Result<u16, OutOfPorts> {
        if let Some(port) = self.assigned_cluster_ports.get(variable) {
            return Ok(*port);
        }
        let port = first_free(CLUSTER_PORTS, "cluster", |port| {
            // The proxy of every host listens on it, so it must be nobody's host port anywhere.
            self.cluster_ports.contains(&port)
                || self.host_ports.values().any(|ports| ports.contains(&port))
        })?;
        self.cluster_ports.insert(port);
        self.assigned_cluster_ports
            .insert(variable.to_owned(), port);
        Ok(port)
    }

    fn host_port(&mut self, host: &HostName, variable: &str) -> Result<u16, OutOfPorts> {
        let key = (host.clone(), variable.to_owned());
        if let Some(port) = self.assigned_host_ports.get(&key) {
            return Ok(*port);
        }
        let neighbours = self.neighbours(host);
        let taken = |port| {
            neighbours.iter().any(|host| {
                self.host_ports
                    .get(host)
                    .is_some_and(|ports| ports.contains(&port))
            })
        };
        let port = first_free(HOST_PORTS, "host", taken)?;
        self.host_ports
            .entry(host.clone())
            .or_default()
            .insert(port);
        self.assigned_host_ports.insert(key, port);
        Ok(port)
    }

    /// The host and every host whose ports are taken for it too.
    fn neighbours(&self, host: &HostName) -> Vec<HostName> {
        let Some(own) = self.addresses.iter().find(|address| &address.host == host) else {
            return vec![host.clone()];
        };
        let sharing = self
            .addresses
            .iter()
            .filter(|other| own.shares_ports_with(other));
        sharing.map(|address| address.host.clone()).collect()
    }
}

fn first_free(
    range: RangeInclusive<u16>,
    what: &'static str,
    taken: impl Fn(u16) -> bool,
) -> Result<u16, OutOfPorts> {
    let (first, last) = (*range.start(), *range.end());
    range
        .into_iter()
        .find(|port| !taken(*port))
        .ok_or(OutOfPorts { what, first, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use names::{ClusterPort, HostPort};
    use proptest::prelude::*;

    fn address(host: &str, machine: &str) -> Address {
        Address {
            host: host.parse().unwrap(),
            machine: machine.into(),
            router: None,
            takes_part: true,
        }
    }

    fn taken(host: &str, host_port: u16, cluster_port: u16) -> PortUse {
        PortUse {
            host: host.parse().unwrap(),
            release: "db:1.0.0".parse().unwrap(),
            host_port: HostPort::new(host_port).ok(),
            cluster_port: ClusterPort::new(cluster_port).ok(),
            is_automatic: false,
            is_running: true,
        }
    }

    #[test]
    fn host_ports_are_per_host_and_cluster_ports_are_not() {
        let (a, b): (HostName, HostName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let addresses = vec![address("a", "10.0.0.1"), address("b", "10.0.0.2")];
        let mut ports = Assigner::new(addresses, &[taken("a", 30000, 61000)], &BTreeSet::new());
        assert_eq!(ports.port(&a, "HOSTPORTAUTO1"), Ok(30001));
        assert_eq!(
            ports.port(&a, "HOSTPORTAUTO1"),
            Ok(30001),
            "the same x is the same port"
        );
        assert_eq!(ports.port(&a, "HOSTPORTAUTO2"), Ok(30002));
        assert_eq!(
            ports.port(&b, "HOSTPORTAUTO1"),
            Ok(30000),
            "another machine begins anew"
        );
        assert_eq!(ports.port(&a, "CLUSTERPORTAUTO1"), Ok(61001));
        assert_eq!(
            ports.port(&b, "CLUSTERPORTAUTO1"),
            Ok(61001),
            "one cluster port for all hosts"
        );
        assert_eq!(ports.port(&b, "CLUSTERPORTAUTO2"), Ok(61002));
    }

    #[test]
    fn hosts_on_one_address_never_get_the_same_host_port() {
        let (a, b): (HostName, HostName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let addresses = vec![address("a", "local"), address("b", "local")];
        let mut ports = Assigner::new(addresses, &[taken("b", 30000, 61000)], &BTreeSet::new());
        assert_eq!(ports.port(&a, "HOSTPORTAUTO1"), Ok(30001));
        assert_eq!(ports.port(&b, "HOSTPORTAUTO1"), Ok(30002));
    }

    #[test]
    fn numbers_of_the_pod_itself_and_kept_ports_are_left_alone() {
        let a: HostName = "a".parse().unwrap();
        let mut ports = Assigner::new(
            vec![address("a", "local")],
            &[],
            &BTreeSet::from([30000, 61000]),
        );
        ports.keep_cluster_port("CLUSTERPORTAUTO2", 61001);
        assert_eq!(ports.port(&a, "HOSTPORTAUTO1"), Ok(30001));
        assert_eq!(ports.port(&a, "CLUSTERPORTAUTO1"), Ok(61002));
        assert_eq!(ports.port(&a, "CLUSTERPORTAUTO2"), Ok(61001));
        let assigned = [
            ("CLUSTERPORTAUTO1", 61002),
            ("CLUSTERPORTAUTO2", 61001),
            ("HOSTPORTAUTO1", 30001),
        ];
        assert_eq!(
            ports.assigned(&a),
            assigned.map(|(name, port)| (name.to_owned(), port)).into()
        );
    }

    #[test]
    fn a_host_port_of_any_host_is_no_cluster_port() {
        let a: HostName = "a".parse().unwrap();
        let addresses = vec![address("a", "10.0.0.1"), address("b", "10.0.0.2")];
        let uses = [taken("b", 61000, 5432)];
        let mut ports = Assigner::new(addresses, &uses, &BTreeSet::new());
        assert_eq!(ports.port(&a, "CLUSTERPORTAUTO1"), Ok(61001));
    }

    #[test]
    fn running_out_is_an_error() {
        let a: HostName = "a".parse().unwrap();
        let all: BTreeSet<u16> = HOST_PORTS.collect();
        let mut ports = Assigner::new(vec![address("a", "local")], &[], &all);
        let error = ports.port(&a, "HOSTPORTAUTO1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no free host port is left between 30000 and 31999"
        );
    }

    #[test]
    fn names_of_automatic_ports() {
        for name in ["HOSTPORTAUTO1", "CLUSTERPORTAUTO12", "HOSTPORTAUTOweb"] {
            assert!(is_automatic(name), "{name}");
        }
        for name in ["HOSTPORTAUTO", "HOSTPORT1", "port", "MYHOSTPORTAUTO1"] {
            assert!(!is_automatic(name), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(testkit::soak::count(1000)))]

        #[test]
        fn no_host_port_is_handed_out_twice_on_one_address(
            taken_ports in proptest::collection::btree_set(30000_u16..30010, 0..8),
            wanted in proptest::collection::vec((0_usize..2, 0_u8..6), 1..20),
        ) {
            let hosts: [HostName; 2] = ["a".parse().unwrap(), "b".parse().unwrap()];
            let uses: Vec<PortUse> = taken_ports.iter().map(|port| taken("b", *port, 61000)).collect();
            let addresses = vec![address("a", "local"), address("b", "local")];
            let mut ports = Assigner::new(addresses, &uses, &BTreeSet::new());
            let mut given = BTreeMap::new();
            for (host, number) in wanted {
                let port = ports.port(&hosts[host], &format!("HOSTPORTAUTO{number}")).unwrap();
                prop_assert!(!taken_ports.contains(&port), "{port} was taken");
                let owner = given.entry(port).or_insert((host, number));
                prop_assert_eq!(*owner, (host, number));
            }
        }
    }
}
