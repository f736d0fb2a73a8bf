//! Ports that two releases, or a pod and the proxy, would both listen on.

use std::collections::{BTreeMap, BTreeSet};

use names::{ClusterPort, HostPort};

use super::{Address, PortUse};

/// One message for every pair that cannot live together, in the order of the ports. Removed releases count,
/// because their units may still run while the new ones start.
pub(crate) fn clashes(addresses: &[Address], uses: &[PortUse]) -> Vec<String> {
    // Only uses of the same number can clash, so nothing else is compared.
    let listeners = by_number(uses, |port_use| port_use.host_port.map(HostPort::get));
    let exposed = by_number(uses, |port_use| port_use.cluster_port.map(ClusterPort::get));
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
                .filter(|other| is_proxied_at(addresses, other, one));
            messages.extend(proxied.filter_map(|other| cluster_port_on_host(one, other)));
        }
    }
    messages.extend(shared_cluster_ports(uses, |_| true));
    messages
}

/// One message for every two pods that share a cluster port by accident, one of them being `wanted`: the
/// proxies would balance the traffic of one onto the other. Authors may share a number on purpose, so it
/// counts only when sns chose it for at least one of them, as it does twice on two branches that are merged.
pub(crate) fn shared_cluster_ports(
    uses: &[PortUse],
    wanted: impl Fn(&PortUse) -> bool,
) -> Vec<String> {
    let running: Vec<&PortUse> = uses.iter().filter(|port_use| port_use.is_running).collect();
    let exposed = by_number(running, |port_use| {
        port_use.cluster_port.map(ClusterPort::get)
    });
    let mut told = BTreeSet::new();
    let mut messages = Vec::new();
    for (number, users) in &exposed {
        for (index, one) in users.iter().enumerate() {
            for other in users.iter().skip(index + 1) {
                let is_accident = one.release.pod != other.release.pod
                    && (one.is_automatic || other.is_automatic)
                    && (wanted(one) || wanted(other));
                // Replicas and versions of the same two pods would say nothing new.
                if is_accident && told.insert((number, &one.release.pod, &other.release.pod)) {
                    messages.push(format!(
                        "cluster port {number} was chosen for one of {} and {}, and the other has it too",
                        place(one),
                        place(other)
                    ));
                }
            }
        }
    }
    messages
}

fn by_number<'u>(
    uses: impl IntoIterator<Item = &'u PortUse>,
    number: impl Fn(&PortUse) -> Option<u16>,
) -> BTreeMap<u16, Vec<&'u PortUse>> {
    let mut users: BTreeMap<u16, Vec<&PortUse>> = BTreeMap::new();
    for port_use in uses {
        if let Some(number) = number(port_use) {
            users.entry(number).or_default().push(port_use);
        }
    }
    users
}

fn address<'a>(addresses: &'a [Address], of: &PortUse) -> Option<&'a Address> {
    addresses.iter().find(|address| address.host == of.host)
}

fn same_place(addresses: &[Address], one: &PortUse, other: &PortUse) -> bool {
    match (address(addresses, one), address(addresses, other)) {
        (Some(one), Some(other)) => one.shares_ports_with(other),
        _ => one.host == other.host,
    }
}

/// True when the proxy where `listener` lives listens on the cluster port of `exposed`: there on every port
/// that is exposed at the same place, and on those of all hosts that take part, once they run.
fn is_proxied_at(addresses: &[Address], exposed: &PortUse, listener: &PortUse) -> bool {
    let takes_part = |of| address(addresses, of).is_some_and(|address| address.takes_part);
    let is_served = exposed.is_running && takes_part(exposed) && takes_part(listener);
    is_served || same_place(addresses, listener, exposed)
}

/// Versions of one pod may have the same fixed port as long as only one of them should run: that is a hard release.
fn host_port_twice(one: &PortUse, other: &PortUse) -> Option<String> {
    let is_release_after_release = one.release.pod == other.release.pod && one.host == other.host;
    if is_release_after_release && !(one.is_running && other.is_running) {
        return None;
    }
    let port = one
        .host_port
        .filter(|port| Some(*port) == other.host_port)?;
    Some(format!(
        "host port {port} is used by {} and by {}",
        place(one),
        place(other)
    ))
}

/// The proxy of every host listens on every cluster port, so no pod beside a proxy can.
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

    fn entry(host: &str, release: &str, host_port: u16, cluster_port: u16) -> PortUse {
        PortUse {
            host: host.parse().unwrap(),
            release: release.parse().unwrap(),
            host_port: HostPort::new(host_port).ok(),
            cluster_port: ClusterPort::new(cluster_port).ok(),
            is_automatic: false,
            is_running: true,
        }
    }

    fn check(uses: &[PortUse], expected: &[&str]) {
        let address = |host: &str, machine: &str| Address {
            host: host.parse().unwrap(),
            machine: machine.into(),
            router: None,
            takes_part: host != "off",
        };
        let addresses = [
            address("a", "local"),
            address("b", "local"),
            address("c", "10.0.0.1"),
            address("off", "10.0.0.2"),
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

    #[test]
    fn every_proxy_listens_on_every_cluster_port() {
        let removed = |mut port_use: PortUse| {
            port_use.is_running = false;
            port_use
        };
        let listener = || entry("a", "web:1.0.0", 8080, 0);
        check(
            &[listener(), entry("c", "db:1.0.0", 5432, 8080)],
            &["port 8080 is a host port of web:1.0.0@a and the cluster port 8080 of db:1.0.0@c"],
        );
        check(
            &[listener(), removed(entry("c", "db:1.0.0", 5432, 8080))],
            &[],
        );
        check(&[listener(), entry("off", "db:1.0.0", 5432, 8080)], &[]);
        check(
            &[removed(listener()), entry("c", "db:1.0.0", 5432, 8080)],
            &["port 8080 is a host port of web:1.0.0@a and the cluster port 8080 of db:1.0.0@c"],
        );
    }

    #[test]
    fn different_pods_share_a_cluster_port_only_on_purpose() {
        let automatic = |mut port_use: PortUse| {
            port_use.is_automatic = true;
            port_use
        };
        let removed = |mut port_use: PortUse| {
            port_use.is_running = false;
            port_use
        };
        let m1 = || entry("a", "m1:1.0.0", 30000, 61000);
        let m2 = || entry("c", "m2:1.0.0", 30000, 61000);
        let accident = "cluster port 61000 was chosen for one of m1:1.0.0@a and m2:1.0.0@c, and the other has it too";
        check(&[m1(), m2()], &[]);
        check(&[automatic(m1()), automatic(m2())], &[accident]);
        check(&[m1(), automatic(m2())], &[accident]);
        check(&[automatic(m1()), m2()], &[accident]);
        check(&[automatic(m1()), removed(automatic(m2()))], &[]);
        check(
            &[
                automatic(m1()),
                automatic(m2()),
                automatic(entry("b", "m2:1.1.0", 30002, 61000)),
            ],
            &[accident],
        );
        let other = |port_use: &PortUse| port_use.release.pod.as_str() == "m3";
        assert!(shared_cluster_ports(&[automatic(m1()), automatic(m2())], other).is_empty());
    }
}
