//! The cluster proxy: one alone, or those of several hosts that know each other.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use proxykeys::ProxyKeys;
use testkit::{free_port, wait_until};

use super::rival::{Rival, START_MAX, Servers, command, echoes, new_ports, put};

/// Its name among the rivals.
pub(super) const OURS: &str = "sns-proxy";

/// A line of portmappings.conf.
pub(super) fn mapping(from: SocketAddr, to: SocketAddr) -> String {
    format!("{}:{}:60000:false\n", from.port(), to.port())
}

/// Lays the files of a proxy of this host into a folder; its command.
pub(super) fn configured(
    folder: &Path,
    program: &Path,
    mappings: &str,
    settings: &str,
) -> Result<Command> {
    put(folder, "ports.conf", mappings)?;
    put(
        folder,
        "hosts.conf",
        &format!("127.0.0.1:{}\n", free_port()?),
    )?;
    let text = settings_of_all(settings);
    let mut proxy = command(program);
    proxy.arg(put(folder, "proxy.conf", &text)?);
    Ok(proxy)
}

/// A proxy.conf with more settings.
pub(super) fn settings_of_all(settings: &str) -> String {
    format!("HOSTSCONF hosts.conf\nPORTSCONF ports.conf\nCLUSTERPORTS 1024-65535\n{settings}\n")
}

/// Hosts that know each other; the last one has the pods.
pub(super) struct Hosts<'a> {
    pub(super) name: &'static str,
    pub(super) count: u8,
    /// Cluster ports beside those of the servers.
    pub(super) more: &'a [u16],
    /// What else stands in each proxy.conf.
    pub(super) settings: &'a str,
}

impl Rival {
    /// The cluster proxy of one host.
    pub(super) fn ours(programs: &Path, servers: Servers) -> Result<Self> {
        let program = programs.join("sns-proxy");
        Self::start(OURS, |folder, ports| {
            let mappings = mapping(ports.echo, servers.echo) + &mapping(ports.blast, servers.blast);
            configured(folder, &program, &mappings, "")
        })
    }

    /// Two cluster proxies of two hosts, of which the first one has no pods.
    pub(super) fn two_hosts(
        name: &'static str,
        programs: &Path,
        servers: Servers,
        settings: &str,
    ) -> Result<Self> {
        let hosts = Hosts {
            name,
            count: 2,
            more: &[],
            settings,
        };
        hosts.start(programs, servers)
    }
}

impl Hosts<'_> {
    /// Starts the proxies; what is connected to is the first one.
    pub(super) fn start(&self, programs: &Path, servers: Servers) -> Result<Rival> {
        let program = programs.join("sns-proxy");
        let relay = free_port()?;
        let all: Vec<_> = (1..=self.count)
            .map(|last| {
                Ok((
                    Ipv4Addr::new(127, 0, 0, last),
                    ProxyKeys::generate().context("no keys")?,
                ))
            })
            .collect::<Result<_>>()?;
        let peer = |(host, keys): &(Ipv4Addr, ProxyKeys)| {
            let public: String = keys.public().map(|key| format!(" {key}")).collect();
            format!("{host}:{relay}{public}\n")
        };
        let peers: String = all.iter().map(peer).collect();
        let ports = new_ports(Ipv4Addr::LOCALHOST)?;
        let mut started: Vec<Rival> = Vec::new();
        // The one with the pods first.
        for (place, (own, keys)) in all.iter().enumerate().rev() {
            let others = all.iter().map(|(host, _)| *host).filter(|host| host != own);
            let others: String = others.map(|host| format!("{host}:{relay}\n")).collect();
            let here = |address: SocketAddr| SocketAddr::from((*own, address.port()));
            let at = Servers {
                echo: here(ports.echo),
                blast: here(ports.blast),
            };
            let rival = Rival::start_at(self.name, at, |folder, ports| {
                put(folder, "hosts.conf", &format!("{own}:{relay}\n{others}"))?;
                put(folder, "peers.conf", &peers)?;
                let key = put(folder, "key.txt", &keys.to_text("of a bench"))?;
                fs::set_permissions(key, fs::Permissions::from_mode(0o600))?;
                put(folder, "exist.conf", &self.exist(ports))?;
                let mappings = if place + 1 == all.len() {
                    self.mappings(ports, servers)
                } else {
                    "\n".to_owned()
                };
                put(folder, "ports.conf", &mappings)?;
                let text = settings_of_all(&format!(
                    "CLUSTERPORTSCONF exist.conf\nPEERSCONF peers.conf\nPEERKEY key.txt\nPODHOST 127.0.0.1\n{}",
                    self.settings
                ));
                let mut proxy = command(&program);
                proxy.arg(put(folder, "proxy.conf", &text)?);
                Ok(proxy)
            })?;
            started.push(rival);
        }
        let mut first = started.pop().context("there are no hosts")?;
        first.behind = started;
        // They have to know each other first.
        for host in first.behind.iter().chain([&first]) {
            let served = || Ok(echoes(host.ports.echo).then_some(()));
            wait_until("proxies to know each other", START_MAX, served)?;
        }
        Ok(first)
    }

    fn exist(&self, ports: Servers) -> String {
        let own = [ports.echo.port(), ports.blast.port()];
        let all = own.iter().chain(self.more);
        all.map(|port| format!("{port}\n")).collect()
    }

    fn mappings(&self, ports: Servers, servers: Servers) -> String {
        let more = self.more.iter().map(|port| {
            let from = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            mapping(from, servers.echo)
        });
        let own = mapping(ports.echo, servers.echo) + &mapping(ports.blast, servers.blast);
        more.fold(own, |all, line| all + &line)
    }
}
