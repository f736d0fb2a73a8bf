//! Ports that two releases, or a pod and the proxy, would both listen on.

use std::collections::BTreeMap;

use super::{Address, PortUse};

/// One message for every pair that cannot live together, in the order of the ports. Removed releases count,
/// because their units may still run while the new ones start.
pub(crate) fn clashes(addresses: &[Address], uses: &[PortUse]) -> Vec<String> {
    // Only uses of the same number can clash, so nothing else is compared.
    let mut listeners: BTreeMap<u16, Vec<&PortUse>> = BTreeMap::new();
    let mut exposed: BTreeMap<u16, Vec<&PortUse>> = BTreeMap::new();
    for port_use in uses {
        if let Some(port) = port_use.host_port {
            listeners.entry(port.get()).or_default().push(port_use);
        }
        if let Some(port) = port_use.cluster_port {
            exposed.entry(port.get()).or_default().push(port_use);
        }
    }
    let mut messages = Vec::new();
    for (number, listeners) in &listeners {
        for (index, one) in listeners.iter().enumerate() {
            let others = listeners
                .iter()
                .skip(index + 1)
                .filter(|other| same_place(addresses, one, other));
            messages.extend(others.filter_map(|other| host_port_twice(one, other)));
            let proxied = exposed
                .get(number)
                .into_iter()
                .flatten()
                .filter(|other| same_place(addresses, one, other));
            messages.extend(proxied.filter_map(|other| cluster_port_on_host(one, other)));
        }
    }
    messages
}

fn same_place(addresses: &[Address], one: &PortUse, other: &PortUse) -> bool {
    let address = |of: &PortUse| addresses.iter().find(|address| address.host == of.host);
    match (address(one), address(other)) {
        (Some(one), Some(other)) => one.shares_ports_with(other),
        _ => one.host == other.host,
    }
}

fn host_port_twice(one: &PortUse, other: &PortUse) -> Option<String> {
    let port = one
        .host_port
        .filter(|port| Some(*port) == other.host_port)?;
    Some(format!(
        "host port {port} is used by {} and by {}",
        place(one),
        place(other)
    ))
}

/// The proxy of a host listens on every cluster port, so a pod on that host cannot.
fn cluster_port_on_host(pod: &PortUse, exposed: &PortUse) -> Option<String> {
    let port = pod.host_port?;
    let cluster_port = exposed
        .cluster_port
        .filter(|cluster_port| cluster_port.get() == port.get())?;
    Some(format!(
        "port {port} is a host port of {} and the cluster port {cluster_port} of {}",
        place(pod),
        place(exposed)
    ))
}

fn place(of: &PortUse) -> String {
    format!("{}@{}", of.release, of.host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use names::{ClusterPort, HostPort};

    fn entry(host: &str, release: &str, host_port: u16, cluster_port: u16) -> PortUse {
        PortUse {
            host: host.parse().unwrap(),
            release: release.parse().unwrap(),
            host_port: HostPort::new(host_port).ok(),
            cluster_port: ClusterPort::new(cluster_port).ok(),
        }
    }

    fn check(uses: &[PortUse], expected: &[&str]) {
        let address = |host: &str, machine: &str| Address {
            host: host.parse().unwrap(),
            machine: machine.into(),
            router: None,
        };
        let addresses = [
            address("a", "local"),
            address("b", "local"),
            address("c", "10.0.0.1"),
        ];
        assert_eq!(clashes(&addresses, uses), expected);
    }

    #[test]
    fn what_clashes_and_what_does_not() {
        check(
            &[
                entry("a", "web:1.0.0", 8080, 61000),
                entry("a", "web:1.0.1", 8081, 61000),
            ],
            &[],
        );
        check(
            &[
                entry("a", "web:1.0.0", 8080, 61000),
                entry("c", "web:1.0.0", 8080, 61000),
            ],
            &[],
        );
        check(
            &[
                entry("a", "web:1.0.0", 8080, 0),
                entry("a", "db:1.0.0", 8080, 0),
            ],
            &["host port 8080 is used by web:1.0.0@a and by db:1.0.0@a"],
        );
        check(
            &[
                entry("a", "web:1.0.0", 8080, 0),
                entry("b", "db:1.0.0", 8080, 0),
            ],
            &["host port 8080 is used by web:1.0.0@a and by db:1.0.0@b"],
        );
        check(
            &[
                entry("a", "web:1.0.0", 8080, 0),
                entry("a", "db:1.0.0", 5432, 8080),
            ],
            &["port 8080 is a host port of web:1.0.0@a and the cluster port 8080 of db:1.0.0@a"],
        );
        check(
            &[entry("a", "web:1.0.0", 61000, 61000)],
            &["port 61000 is a host port of web:1.0.0@a and the cluster port 61000 of web:1.0.0@a"],
        );
    }
}
