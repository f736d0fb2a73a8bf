//! Which addresses a proxy listens on, which hosts it asks, and where its pods are.
//!
//! Pure: settings and files in, a [`Layout`] out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::config::{Config, RELAY_PORT};
use crate::connection::Entrance;
use crate::inputs::Inputs;

/// Everything about addresses that follows from the settings and the files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The address to listen on, once it is known.
    pub(crate) host: Option<IpAddr>,
    /// The address of the pods' host ports, once it is known.
    pub(crate) pod_host: Option<IpAddr>,
    /// The proxies of the other hosts.
    pub(crate) peers: Vec<SocketAddr>,
    /// What to listen on.
    pub(crate) doors: BTreeMap<SocketAddr, Entrance>,
    /// Cluster ports that exist, and may not be listened on.
    pub(crate) barred: BTreeSet<u16>,
}

impl Layout {
    pub(crate) fn new(config: &Config, inputs: &Inputs) -> Self {
        let routers = inputs.routers();
        let host = config.host.or(routers.own().map(|own| own.ip()));
        let port = config
            .port
            .or(routers.own().map(|own| own.port()))
            .unwrap_or(RELAY_PORT);
        let relay = host.map(|host| SocketAddr::new(host, port));
        let others = routers.others().iter().copied();
        let peers = others
            .filter(|peer| Some(*peer) != relay && Some(*peer) != routers.own())
            .collect();
        let mut doors = BTreeMap::new();
        let (ports, barred): (BTreeSet<u16>, BTreeSet<u16>) =
            wanted(inputs).partition(|port| config.cluster_ports.contains(*port));
        if let Some(host) = host {
            let door = |port| (SocketAddr::new(host, port), Entrance::Cluster(port));
            doors.extend(ports.into_iter().map(door));
        }
        // Last, because the proxies' own port wins over a cluster port of the same number.
        doors.extend(relay.map(|relay| (relay, Entrance::Relay)));
        Self {
            host,
            pod_host: config.pod_host.or(host),
            peers,
            doors,
            barred,
        }
    }
}

/// The cluster ports of the whole cluster, or those of this host when nobody tells the former.
fn wanted(inputs: &Inputs) -> Box<dyn Iterator<Item = u16> + '_> {
    match inputs.cluster_ports() {
        Some(ports) => Box::new(ports.iter().map(|port| port.get())),
        None => Box::new(
            inputs
                .slots()
                .into_iter()
                .map(|slot| slot.cluster_port.get()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use hostfiles::{Format, PortMappings, Routers};

    use super::*;
    use hostfiles::ClusterPorts;

    const MINIMAL: &str = "HOSTSCONF h\nPORTSCONF p\n";

    fn layout(config: &str, hosts: &str, mappings: &str, ports: Option<&str>) -> Layout {
        let config = Config::parse(&format!("{MINIMAL}{config}")).unwrap();
        let inputs = Inputs::of(
            Routers::parse(hosts).unwrap(),
            PortMappings::parse(mappings).unwrap(),
            ports.map(|text| ClusterPorts::parse(text).unwrap()),
        );
        Layout::new(&config, &inputs)
    }

    fn check(layout: &Layout, doors: &[&str], peers: &[&str]) {
        let found: Vec<String> = layout.doors.keys().map(ToString::to_string).collect();
        assert_eq!(found, doors);
        let found: Vec<String> = layout.peers.iter().map(ToString::to_string).collect();
        assert_eq!(found, peers);
    }

    #[test]
    fn the_first_line_is_this_host() {
        let seen = layout(
            "",
            "10.0.0.1:40000\n10.0.0.2:32767\n10.0.0.1:40000\n",
            "61000:30000:1:true",
            None,
        );
        check(
            &seen,
            &["10.0.0.1:40000", "10.0.0.1:61000"],
            &["10.0.0.2:32767"],
        );
        assert_eq!(seen.pod_host, seen.host);
    }

    #[test]
    fn settings_win_over_the_first_line() {
        let config = "HOST 10.0.0.9\nPORT 45000\nPODHOST 127.0.0.1";
        let seen = layout(
            config,
            "10.0.0.1:32767\n10.0.0.2:32767\n10.0.0.9:45000",
            "",
            None,
        );
        check(&seen, &["10.0.0.9:45000"], &["10.0.0.2:32767"]);
        assert_eq!(seen.pod_host, Some("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn the_cluster_ports_file_wins_over_the_mappings() {
        let seen = layout(
            "HOST 10.0.0.1",
            "",
            "61000:30000:1:true",
            Some("61001\n61002\n"),
        );
        check(
            &seen,
            &["10.0.0.1:32767", "10.0.0.1:61001", "10.0.0.1:61002"],
            &[],
        );
    }

    #[test]
    fn the_port_of_a_pod_without_a_host_port_is_listened_on() {
        let config = Config::parse(&format!("{MINIMAL}HOST 10.0.0.1")).unwrap();
        let line = "cluster=61007 target=80 pid=1 start=1 max=1";
        let inputs = Inputs::of(Routers::default(), PortMappings::default(), None)
            .with(hostfiles::Endpoints::parse(line).unwrap());
        let seen = Layout::new(&config, &inputs);
        check(&seen, &["10.0.0.1:32767", "10.0.0.1:61007"], &[]);
    }

    #[test]
    fn ranges_are_the_limit() {
        let config = "HOST 10.0.0.1\nCLUSTERPORTS 61000-61001";
        let seen = layout(config, "", "", Some("60999\n61001\n61002"));
        check(&seen, &["10.0.0.1:32767", "10.0.0.1:61001"], &[]);
    }

    #[test]
    fn the_relay_wins_over_a_cluster_port() {
        let seen = layout("HOST 10.0.0.1\nPORT 61000", "", "61000:30000:1:true", None);
        assert_eq!(
            seen.doors.into_values().collect::<Vec<_>>(),
            [Entrance::Relay]
        );
    }

    #[test]
    fn nothing_is_known_yet() {
        check(&layout("", "", "61000:30000:1:true", None), &[], &[]);
    }
}
