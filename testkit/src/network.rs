//! Hosts of a test, each in a network namespace of its own, all of them on one switch. It needs root.
//!
//! ```text
//! host 0 ── eth0 10.77.0.1 ──┐
//! host 1 ── eth0 10.77.0.2 ──┼── bridge, in a namespace of its own
//! …                          │
//! ```
//!
//! With IPv6 the addresses are fd77::1 and so on. Nothing leads from there to the machine's own network, and nothing in.
//! A second switch, outside, may have some of the hosts and others that reach nobody else: eth1 10.78.0.1 and so on.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, test_kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Outcome;
use crate::cluster::command;

/// Namespaces of tests are called so, then the test's process, then a number.
const PREFIX: &str = "snsnet";
/// Where `ip netns` keeps them.
const NAMESPACES: &str = "/run/netns";
/// How many this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Hosts that reach each other and nothing else. Dropping it takes the namespaces away; whatever still runs in
/// one keeps it until it ends.
#[derive(Debug)]
pub struct Network {
    switch: Namespace,
    hosts: Vec<Namespace>,
    outside: Option<Namespace>,
}

impl Network {
    /// So many hosts, 200 at most.
    ///
    /// # Errors
    /// This is not root, or `ip` is missing.
    pub fn new(hosts: u8) -> Result<Self> {
        Self::with(hosts, Self::plug_in)
    }

    /// The same without one address of IPv4, see [`Self::address6`].
    ///
    /// # Errors
    /// As there, or the kernel has no IPv6.
    pub fn of_ipv6(hosts: u8) -> Result<Self> {
        Self::with(hosts, Self::plug_in6)
    }

    fn with(hosts: u8, plug_in: fn(&mut Self, usize) -> Result<()>) -> Result<Self> {
        remove_forgotten();
        let mut network = Self {
            switch: Namespace::switch()?,
            hosts: Vec::new(),
            outside: None,
        };
        for host in 0..hosts {
            plug_in(&mut network, usize::from(host))?;
        }
        Ok(network)
    }

    /// A host with a plug, and no address.
    fn wire(&self, host: usize) -> Result<Namespace> {
        let namespace = Namespace::new()?;
        plug(&self.switch, host, &namespace, "eth0")?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Gives a host a second plug, outside, where it has [`Self::outside_address`].
    ///
    /// # Errors
    /// There is no such host, or it has one.
    pub fn plug_in_outside(&mut self, host: usize) -> Result<()> {
        let switch = match self.outside.take() {
            Some(switch) => switch,
            None => Namespace::switch()?,
        };
        let switch = self.outside.insert(switch);
        let namespace = self.hosts.get(host).context("there is no such host")?;
        plug(switch, host, namespace, "eth1")?;
        let address = Self::outside_address(host);
        namespace.ip(&format!("address add {address}/24 dev eth1"))?;
        namespace.ip("link set eth1 up")
    }

    /// Adds a host that is outside only, and gives its number.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn add_outsider(&mut self) -> Result<usize> {
        let namespace = Namespace::new()?;
        namespace.ip("link set lo up")?;
        let host = self.hosts.len();
        self.hosts.push(namespace);
        self.plug_in_outside(host)?;
        Ok(host)
    }

    fn plug_in6(&mut self, host: usize) -> Result<()> {
        let (namespace, address) = (self.wire(host)?, Self::address6(host));
        // Nobody else has it, so that it can be used at once.
        namespace.ip(&format!("address add {address}/64 dev eth0 nodad"))?;
        namespace.ip("link set eth0 up")?;
        self.hosts.push(namespace);
        Ok(())
    }

    fn plug_in(&mut self, host: usize) -> Result<()> {
        let (namespace, address) = (self.wire(host)?, Self::address(host));
        namespace.ip(&format!("address add {address}/24 dev eth0"))?;
        namespace.ip("link set eth0 up")?;
        // Programs look at the default route to learn which address is the host's.
        namespace.ip("route add default via 10.77.0.254")?;
        self.hosts.push(namespace);
        Ok(())
    }

    /// The address of a host.
    #[must_use]
    pub fn address(host: usize) -> IpAddr {
        let last = u8::try_from(host).unwrap_or(u8::MAX).saturating_add(1);
        IpAddr::from(Ipv4Addr::new(10, 77, 0, last))
    }

    /// The address of a host in a network of IPv6, a unique local one (RFC 4193).
    #[must_use]
    pub fn address6(host: usize) -> IpAddr {
        let last = u16::try_from(host).unwrap_or(u16::MAX).saturating_add(1);
        IpAddr::from(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last))
    }

    /// The address that a host has outside.
    #[must_use]
    pub fn outside_address(host: usize) -> IpAddr {
        let last = u8::try_from(host).unwrap_or(u8::MAX).saturating_add(1);
        IpAddr::from(Ipv4Addr::new(10, 78, 0, last))
    }

    /// The file of the namespace of a host, as `nsenter --net=FILE` takes it; none where there is no such host.
    #[must_use]
    pub fn file(&self, host: usize) -> Option<PathBuf> {
        let namespace = self.hosts.get(host)?;
        Some(Path::new(NAMESPACES).join(&namespace.0))
    }

    /// Does something at that host: all programs that are started and all sockets that are opened belong to its
    /// network.
    ///
    /// # Errors
    /// There is no such host, or its namespace cannot be entered.
    pub fn at<T: Send>(&self, host: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
        let file = self.file(host).context("there is no such host")?;
        let file = File::open(file)?;
        // Only a thread of its own can be elsewhere.
        let there = || -> Result<T> {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .context("cannot enter the namespace of a host: this needs root")?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(there).join())
            .unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Pulls the plug of a host, not the one outside: whatever is sent to it is lost, and nobody is told.
    ///
    /// # Errors
    /// There is no such host.
    pub fn cut(&self, host: usize) -> Result<()> {
        self.switch.ip(&format!("link set port{host} down"))
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// There is no such host.
    pub fn mend(&self, host: usize) -> Result<()> {
        self.switch.ip(&format!("link set port{host} up"))
    }
}

/// A network namespace with a name.
#[derive(Debug)]
struct Namespace(String);

impl Namespace {
    fn new() -> Result<Self> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}", std::process::id());
        ip(&format!("netns add {name}"))?;
        Ok(Self(name))
    }

    fn switch() -> Result<Self> {
        let switch = Self::new()?;
        switch.ip("link add bridge type bridge")?;
        switch.ip("link set bridge up")?;
        Ok(switch)
    }

    fn ip(&self, words: &str) -> Result<()> {
        ip(&format!("-netns {} {words}", self.0))
    }
}

/// A wire from a port of a switch to a host.
fn plug(switch: &Namespace, host: usize, namespace: &Namespace, device: &str) -> Result<()> {
    let name = &namespace.0;
    switch.ip(&format!(
        "link add port{host} type veth peer name {device} netns {name}"
    ))?;
    switch.ip(&format!("link set port{host} master bridge up"))
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // One that is left is removed by the next test, see `remove_forgotten`.
        let _ = ip(&format!("netns delete {}", self.0));
    }
}

fn ip(words: &str) -> Result<()> {
    let mut ip = command("ip");
    ip.args(words.split(' '));
    let outcome = Outcome::of(&mut ip)?;
    outcome.success().map(drop)
}

/// Removes what tests have left that were killed.
fn remove_forgotten() {
    let entries = std::fs::read_dir(NAMESPACES)
        .into_iter()
        .flatten()
        .flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').nth(1)?.parse().ok());
        let is_forgotten =
            |id| Pid::from_raw(id).is_some_and(|pid| test_kill_process(pid).is_err());
        if process.is_some_and(is_forgotten) {
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn hosts_reach_each_other_until_one_is_cut_off() {
        let network = Network::new(2).unwrap();
        let address = SocketAddr::new(Network::address(1), 7000);
        let listener = network
            .at(1, || TcpListener::bind(address).unwrap())
            .unwrap();
        let connects = |host| {
            let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            network.at(host, connect).unwrap()
        };
        assert!(connects(0) && connects(1));
        network.cut(1).unwrap();
        assert!(!connects(0) && connects(1));
        network.mend(1).unwrap();
        let heals = crate::wait_until("the way to be back", Duration::from_secs(30), || {
            Ok(connects(0).then_some(()))
        });
        heals.unwrap();
        drop(listener);
        assert!(network.at(2, || ()).is_err());
    }

    #[test]
    fn who_is_outside_reaches_only_what_has_a_plug_there() {
        let mut network = Network::new(2).unwrap();
        network.plug_in_outside(1).unwrap();
        let outsider = network.add_outsider().unwrap();
        let addresses = [Network::outside_address(1), Network::address(0)];
        let [open, closed] = addresses.map(|ip| SocketAddr::new(ip, 7000));
        let listeners = [(1, open), (0, closed)].map(|(host, address)| {
            let listen = || TcpListener::bind(address).unwrap();
            network.at(host, listen).unwrap()
        });
        let connects = |address: SocketAddr| {
            let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            network.at(outsider, connect).unwrap()
        };
        assert!(connects(open) && !connects(closed));
        drop(listeners);
    }

    #[test]
    fn a_panic_at_a_host_is_one_of_the_test() {
        let network = Network::new(1).unwrap();
        let work = || network.at(0, || panic!("as a test that fails")).unwrap();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
        let name = network.hosts[0].0.clone();
        drop(network);
        assert!(!Path::new(NAMESPACES).join(name).exists());
    }
}
