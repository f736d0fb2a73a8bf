//! Hosts in networks of their own, each with the program itself: one vanishes without a word and comes back. It
//! needs root.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use hostfiles::{Format as _, Peer, Peers, replace};
use proxykeys::ProxyKeys;
use tempfile::TempDir;
use testkit::Network;

use crate::cluster::{PORT, RELAY};
use crate::program::command;

/// The host port of every pod.
const POD: u16 = 30_000;
/// What a client is willing to wait.
const CLIENT_MAX: Duration = Duration::from_secs(10);

/// A host with the program and perhaps a pod.
struct Host {
    child: Child,
    lines: Receiver<String>,
    _folder: TempDir,
}

impl Host {
    fn said(&self, part: &str) {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(30)).unwrap();
            if line.contains(part) {
                return;
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// So many hosts; all but the first have a pod that answers with the number of its host.
fn cluster(network: &Network, hosts: usize, settings: &str) -> Vec<Host> {
    cluster_at(network, hosts, settings, Network::address)
}

fn cluster_at(
    network: &Network,
    hosts: usize,
    settings: &str,
    address: fn(usize) -> IpAddr,
) -> Vec<Host> {
    let keys: Vec<_> = (0..hosts).map(|_| ProxyKeys::generate().unwrap()).collect();
    let at = |host: usize| SocketAddr::new(address(host), RELAY);
    let peer = |host: usize| Peer {
        address: at(host),
        keys: keys[host].public().collect(),
    };
    let peers = Peers((0..hosts).map(peer).collect()).to_text();
    let start = |own: usize| {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            replace(&folder.path().join(name), text.as_bytes(), mode).unwrap();
        };
        let others = (0..hosts).filter(|host| *host != own);
        let lines: String = std::iter::once(own)
            .chain(others)
            .map(|host| format!("{}\n", at(host)))
            .collect();
        write("hosts.conf", &lines, 0o644);
        // The original's lines are for those without keys.
        let known = if settings.contains("LEGACY") {
            Peers(vec![peer(own)]).to_text()
        } else {
            peers.clone()
        };
        write("peers.conf", &known, 0o644);
        write("proxy-key.txt", &keys[own].to_text("of a test"), 0o600);
        write("clusterports.conf", &format!("{PORT}\n"), 0o644);
        let mapping = if own == 0 {
            "\n".to_owned()
        } else {
            format!("{PORT}:{POD}:1000:false\n")
        };
        write("portmappings.conf", &mapping, 0o644);
        // The pod of the last host wants to know its clients, in the binary header.
        let described = match own > 0 && own + 1 == hosts && settings.contains("ENDPOINTSCONF") {
            true => format!("cluster={PORT} host={POD} max=1000 in=optional out=v2\n"),
            false => String::new(),
        };
        write("endpoints.conf", &described, 0o644);
        let conf = format!(
            "HOSTSCONF hosts.conf\nPORTSCONF portmappings.conf\nCLUSTERPORTSCONF clusterports.conf\n\
             PEERSCONF peers.conf\nPEERKEY proxy-key.txt\n{settings}\n"
        );
        write("proxy.conf", &conf, 0o644);
        network
            .at(own, || started(own, address(own), folder))
            .unwrap()
    };
    (0..hosts).map(start).collect()
}

/// What a header of version 2 begins with, the family and the length behind it.
const V2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Who the client is, by a header of version 2 of which eight bytes were read already; and its question.
fn header(client: &mut TcpStream) -> String {
    let mut rest = [0; 8];
    client.read_exact(&mut rest).unwrap();
    assert_eq!(rest[..4], V2[8..]);
    assert_eq!(rest[4..], [0x21, 0x21, 0, 36], "IPv6, and TCP");
    let mut addresses = [0; 36];
    client.read_exact(&mut addresses).unwrap();
    let ip = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&addresses[at..at + 16]).unwrap());
    let mut question = [0; 8];
    client.read_exact(&mut question).unwrap();
    assert_eq!(&question, b"question");
    format!(" {} {}", ip(0), ip(16))
}

fn started(own: usize, address: IpAddr, folder: TempDir) -> Host {
    if own > 0 {
        let pod = TcpListener::bind((address, POD)).unwrap();
        thread::spawn(move || {
            while let Ok((mut client, _)) = pod.accept() {
                thread::spawn(move || {
                    let mut question = [0; 8];
                    // A client may have left.
                    if client.read_exact(&mut question).is_ok() {
                        let header = if question == V2[..8] {
                            header(&mut client)
                        } else {
                            String::new()
                        };
                        let _ = client.write_all(format!("{own}{header}").as_bytes());
                    }
                });
            }
        });
    }
    let conf = folder.path().join("proxy.conf");
    let mut child = command(&[&conf]).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    let (told, lines) = channel();
    thread::spawn(move || {
        for line in log.map_while(Result::ok) {
            // Shown only when a test fails.
            println!("host {own}: {line}");
            let _ = told.send(line);
        }
    });
    Host {
        child,
        lines,
        _folder: folder,
    }
}

/// A client of the first host: which host has served it, if any.
fn ask() -> Option<usize> {
    let address = SocketAddr::new(Network::address(0), PORT);
    let mut client = TcpStream::connect_timeout(&address, CLIENT_MAX).ok()?;
    client.set_read_timeout(Some(CLIENT_MAX)).unwrap();
    client.write_all(b"question").ok()?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).ok()?;
    answer.parse().ok()
}

#[test]
fn a_host_that_vanishes_is_left_and_found_again() {
    for settings in ["", "ENCRYPT yes"] {
        let network = Network::new(3).unwrap();
        let hosts = cluster(&network, 3, settings);
        (1..3).for_each(|_| hosts[0].said("talking with proxy"));
        network.at(0, || until_served(&[1, 2])).unwrap();
        network.cut(1).unwrap();
        let cut = Instant::now();
        let (asked, missed) = network.at(0, || until_only(2, cut)).unwrap();
        println!("{settings:?}: {missed} of {asked} clients were not served");
        hosts[0].said("proxy 10.77.0.2:32767 is silent");
        network
            .at(0, || {
                for _ in 0..50 {
                    assert_eq!(ask(), Some(2));
                }
            })
            .unwrap();
        network.mend(1).unwrap();
        hosts[0].said("talking with proxy 10.77.0.2:32767");
        network.at(0, || until_served(&[1])).unwrap();
    }
}

fn until_served(by: &[usize]) {
    for host in by {
        while ask() != Some(*host) {}
    }
}

/// Asks until 20 in a row were served by that host alone: how many were asked, and how many got no answer.
fn until_only(host: usize, since: Instant) -> (usize, usize) {
    let (mut asked, mut missed, mut row) = (0, 0, 0);
    while row < 20 || since.elapsed() < Duration::from_secs(2) {
        asked += 1;
        match ask() {
            Some(served) => {
                assert_eq!(served, host);
                row += 1;
            }
            None => (missed, row) = (missed + 1, 0),
        }
    }
    (asked, missed)
}

/// A client at `from` of the cluster port there: everything that it hears.
fn ask_at(address: IpAddr) -> Option<String> {
    let address = SocketAddr::new(address, PORT);
    let mut client = TcpStream::connect_timeout(&address, CLIENT_MAX).ok()?;
    client.set_read_timeout(Some(CLIENT_MAX)).unwrap();
    client.write_all(b"question").ok()?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Until somebody listens there.
fn until_asked(address: IpAddr) {
    while ask_at(address).is_none_or(|answer| answer.is_empty()) {}
}

#[test]
fn hosts_without_one_address_of_ipv4_serve_each_other() {
    for settings in ["", "ENCRYPT yes", "LEGACY yes"] {
        let network = Network::of_ipv6(2).unwrap();
        let hosts = cluster_at(&network, 2, settings, Network::address6);
        if settings != "LEGACY yes" {
            hosts[0].said("talking with proxy [fd77::2]:32767");
        }
        network.at(0, || until_asked(Network::address6(0))).unwrap();
        let answers = network.at(0, || {
            (0..20)
                .map(|_| ask_at(Network::address6(0)))
                .collect::<Vec<_>>()
        });
        let answers = answers.unwrap();
        assert!(
            answers.iter().all(|answer| answer.as_deref() == Some("1")),
            "{settings}: {answers:?}"
        );
    }
}

#[test]
fn a_pod_learns_the_address_of_ipv6_of_its_client() {
    for settings in ["", "ENCRYPT yes"] {
        let network = Network::of_ipv6(3).unwrap();
        let settings = format!("ENDPOINTSCONF endpoints.conf\n{settings}");
        let hosts = cluster_at(&network, 2, &settings, Network::address6);
        hosts[0].said("talking with proxy [fd77::2]:32767");
        // From another host, so that the client is nobody else.
        network.at(2, || until_asked(Network::address6(0))).unwrap();
        let answer = network.at(2, || ask_at(Network::address6(0))).unwrap();
        assert_eq!(answer.as_deref(), Some("1 fd77::3 fd77::1"), "{settings}");
    }
}
