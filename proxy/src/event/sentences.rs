//! An event as the sentence that people read.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use super::{Event, FileNews, MetricsNews, PeerNews, PortNews};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(at, news) => news.tell(*at, f),
            Self::File(path, news) => news.tell(path, f),
            Self::Metrics(path, news) => news.tell(path, f),
            Self::WorkerLost => {
                f.write_str("a thread of the proxy has died of a mistake in it, please report it")
            }
            Self::NoAddress => f.write_str(
                "no address to listen on: hosts.conf has no first line yet, and proxy.conf no HOST",
            ),
            Self::Barred(ports) => write!(
                f,
                "not listening on cluster ports {}: CLUSTERPORTS in proxy.conf does not name them",
                joined(ports)
            ),
            Self::Routes { ports, peers } => {
                write!(
                    f,
                    "routing {ports} cluster ports to this host; {peers} other hosts"
                )
            }
            Self::BackendFailed(port, at, why) => {
                write!(
                    f,
                    "backend {at} of cluster port {port} does not answer: {why}"
                )
            }
            Self::Ejected {
                port,
                backend,
                time,
                ..
            } => write!(
                f,
                "backend {backend} of cluster port {port} comes last for {} s",
                time.as_secs()
            ),
            Self::Readmitted { port, backend, .. } => {
                write!(f, "backend {backend} of cluster port {port} answers again")
            }
            Self::PeerFailed(port, at, why) => {
                write!(f, "proxy {at} failed for cluster port {port}: {why}")
            }
            _ => self.tell_of_connections(f),
        }
    }
}

impl Event {
    /// Those about connections.
    fn tell_of_connections(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotServed { port, client, busy } => {
                let why = if *busy {
                    "all backends are full"
                } else {
                    "no backend answers"
                };
                write!(f, "cluster port {port}: {why}; reset {client}")
            }
            Self::Peer(peer, news) => news.tell(*peer, f),
            Self::Stranger(from, why) => {
                write!(f, "{from} is no proxy of this cluster: {why}")
            }
            Self::Upgrading(program) => write!(f, "going on as {}", program.display()),
            Self::NotUpgraded(program, why) => {
                write!(f, "not going on as {}: {why}", program.display())
            }
            Self::KeysRefused(why) => write!(f, "the keys of this proxy cannot be used: {why}"),
            Self::Unknown(peers) => write!(
                f,
                "not asking {}: peers.conf has no key of theirs, and LEGACY is not set",
                joined(peers)
            ),
            Self::NoHeader { port, client, why } => write!(
                f,
                "cluster port {port}: its clients have to send a PROXY header; reset {client}, which {why}"
            ),
            Self::BadRequest(peer) => write!(f, "{peer} did not ask for a cluster port"),
            Self::LeftOut(kind, count) => write!(f, "left out {count} more warnings of {kind}"),
            Self::NoRequest(peer) => write!(f, "{peer} asked for nothing"),
            Self::Opened(port, client) => write!(f, "{client} connected to cluster port {port}"),
            Self::Broken(port, client, why) => {
                write!(f, "{client} at cluster port {port} broke off: {why}")
            }
            Self::Succeeded(program) => write!(
                f,
                "{} takes over the ports; what is connected goes on in this program",
                program.display()
            ),
            Self::ServesOut(open, limit) => write!(
                f,
                "the program before this one serves out {open} connections, for {} s at most",
                limit.as_secs()
            ),
            Self::ServedOut => {
                f.write_str("the program before this one has served out all its connections")
            }
            Self::Tracked { count, max } => write!(
                f,
                "the kernel tracks {count} connections of {max} that it can, and loses new ones when its list is \
                 full: raise net.netfilter.nf_conntrack_max, or have the packet filter not track what goes to \
                 the proxy and the pods (notrack)"
            ),
            Self::Draining(open) => write!(f, "ending: waiting for {open} open connections"),
            Self::Cut(open) => write!(f, "the time is up: reset {open} connections"),
            // All others stand above.
            _ => Ok(()),
        }
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

impl PeerNews {
    fn tell(&self, peer: SocketAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined => write!(f, "talking with proxy {peer}"),
            Self::Silent => write!(f, "proxy {peer} is silent: asking it for nothing more"),
            Self::Unreachable(why) => write!(f, "cannot talk with proxy {peer}: {why}"),
        }
    }
}

impl PortNews {
    fn tell(&self, at: SocketAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => write!(f, "listening on {at}"),
            Self::Closed => write!(f, "closed {at}; its connections live on"),
            Self::CannotOpen(why) => write!(f, "cannot listen on {at}, will try again: {why}"),
            Self::CannotAccept(why) => write!(f, "cannot take a connection on {at}: {why}"),
        }
    }
}

impl MetricsNews {
    fn tell(&self, path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = path.display();
        match self {
            Self::Opened => write!(f, "showing metrics at {at}"),
            Self::Closed => write!(f, "no longer showing metrics at {at}"),
            Self::CannotOpen(why) => {
                write!(f, "cannot show metrics at {at}, will try again: {why}")
            }
        }
    }
}

impl FileNews {
    fn tell(&self, path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = path.display();
        match self {
            Self::Refused(why) => write!(f, "what {at} said before stays in force: {why}"),
            Self::Missing => write!(f, "{at} is not there yet"),
            Self::Fine => write!(f, "{at} is read again"),
            Self::CannotWatch(why) => {
                write!(
                    f,
                    "cannot watch {at}, looking every few seconds instead: {why}"
                )
            }
            Self::SettingsRefused(problems) => {
                f.write_str("the settings stay as they are")?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n{}", problem.at(path)))
            }
            Self::SettingsRead => write!(f, "{at} is in force"),
        }
    }
}
