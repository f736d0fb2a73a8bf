//! What a proxy has to tell its operator, as values.
//!
//! The library never prints: whoever starts a proxy hands in a [`Reporter`]. Each event has a level
//! and reads as one sentence.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Problem;
use crate::opening::NoHeader;

/// Takes the events of a proxy; called from any of its tasks, and must not block for long.
pub type Reporter = Arc<dyn Fn(&Event) + Send + Sync>;

/// How much an event matters, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work until somebody acts.
    Error,
    /// Something was refused or tried again.
    Warn,
    /// A change worth knowing.
    Info,
    /// Every connection.
    Debug,
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        })
    }
}

/// A kind of warning that connections cause, and which may therefore come in any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Warning {
    /// [`Event::BackendFailed`].
    Backend,
    /// [`Event::PeerFailed`].
    Peer,
    /// [`Event::NotServed`].
    NotServed,
    /// [`Event::NoHeader`].
    NoHeader,
    /// [`Event::BadRequest`].
    BadRequest,
    /// [`PortNews::CannotAccept`].
    CannotAccept,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backend => "backends that do not answer",
            Self::Peer => "proxies that failed",
            Self::NotServed => "clients that nobody served",
            Self::NoHeader => "clients without a PROXY header",
            Self::BadRequest => "requests for no cluster port",
            Self::CannotAccept => "connections that could not be taken",
        })
    }
}

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// News of one of the proxy's own ports.
    Port(SocketAddr, PortNews),
    /// One of the threads that carry connections has died of a mistake in this program.
    WorkerLost,
    /// Neither `HOST` nor hosts.conf says which address to listen on.
    NoAddress,
    /// These cluster ports exist, and `CLUSTERPORTS` bars them: nobody listens there.
    Barred(Vec<u16>),
    /// There are new routes: cluster ports with a backend on this host, and other hosts.
    Routes {
        /// How many cluster ports lead to this host.
        ports: usize,
        /// How many other hosts there are.
        peers: usize,
    },
    /// News of one of the files or folders that the proxy reads.
    File(PathBuf, FileNews),
    /// A backend did not answer; the next one is tried.
    BackendFailed(u16, SocketAddr, io::Error),
    /// A backend did not answer several times in a row: it comes last for that long.
    Ejected(u16, SocketAddr, Duration),
    /// A backend that was ejected answers again.
    Readmitted(u16, SocketAddr),
    /// Another host's proxy did not answer, or not as a proxy; the next one is tried.
    PeerFailed(u16, SocketAddr, io::Error),
    /// Nobody could serve a client of a cluster port, which was therefore reset.
    NotServed {
        /// The cluster port.
        port: u16,
        /// Who wanted to reach it.
        client: SocketAddr,
        /// Whether backends exist and are all full.
        busy: bool,
    },
    /// A client of a cluster port that has to bring a PROXY header brought none, and was reset.
    NoHeader {
        /// The cluster port.
        port: u16,
        /// Who wanted to reach it.
        client: SocketAddr,
        /// What it did instead.
        why: NoHeader,
    },
    /// Somebody asked the port for proxies for something that is not a cluster port.
    BadRequest(SocketAddr),
    /// Somebody looked whether the port for proxies is open, and asked for nothing.
    NoRequest(SocketAddr),
    /// So many more warnings of a kind were not told, because there were too many of them.
    LeftOut(Warning, u64),
    /// A connection was taken.
    Opened(u16, SocketAddr),
    /// A connection broke off.
    Broken(u16, SocketAddr, io::Error),
    /// No more connections are taken; the open ones have some time left.
    Draining(usize),
    /// The time is up; the rest of the connections were reset.
    Cut(usize),
}

/// What happened to a port.
#[derive(Debug)]
#[non_exhaustive]
pub enum PortNews {
    /// It was opened.
    Opened,
    /// It was closed; its connections live on.
    Closed,
    /// It cannot be opened; it is tried again until it can or is no longer wanted.
    CannotOpen(String),
    /// A connection could not be taken from its queue.
    CannotAccept(io::Error),
}

/// What happened to a file, or to the folder of one.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileNews {
    /// It cannot be read or understood; what it said before stays in force.
    Refused(String),
    /// It is not there, so nothing is known from it until it appears.
    Missing,
    /// It was refused or missing, and is fine now.
    Fine,
    /// The folder cannot be watched; its files are looked at every few seconds instead.
    CannotWatch(String),
    /// The new proxy.conf cannot be understood; the settings stay as they are.
    SettingsRefused(Vec<Problem>),
    /// The new proxy.conf is in force.
    SettingsRead,
}

impl Event {
    /// The kind of warning that it is, if connections cause it.
    pub(crate) fn warning(&self) -> Option<Warning> {
        match self {
            Self::BackendFailed(..) => Some(Warning::Backend),
            Self::PeerFailed(..) => Some(Warning::Peer),
            Self::NotServed { .. } => Some(Warning::NotServed),
            Self::NoHeader { .. } => Some(Warning::NoHeader),
            Self::BadRequest(_) => Some(Warning::BadRequest),
            Self::Port(_, PortNews::CannotAccept(_)) => Some(Warning::CannotAccept),
            _ => None,
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::WorkerLost
            | Self::Port(_, PortNews::CannotOpen(_))
            | Self::File(_, FileNews::Refused(_) | FileNews::SettingsRefused(_)) => Level::Error,
            Self::Port(_, PortNews::CannotAccept(_))
            | Self::File(_, FileNews::CannotWatch(_))
            | Self::NoAddress
            | Self::Barred(_)
            | Self::BackendFailed(..)
            | Self::Ejected(..)
            | Self::PeerFailed(..)
            | Self::NotServed { .. }
            | Self::NoHeader { .. }
            | Self::BadRequest(_)
            | Self::LeftOut(..)
            | Self::Cut(_) => Level::Warn,
            Self::Port(_, PortNews::Opened | PortNews::Closed)
            | Self::File(_, FileNews::Missing | FileNews::Fine | FileNews::SettingsRead)
            | Self::Routes { .. }
            | Self::Readmitted(..)
            | Self::Draining(_) => Level::Info,
            Self::Opened(..) | Self::Broken(..) | Self::NoRequest(_) => Level::Debug,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(at, news) => news.tell(*at, f),
            Self::File(path, news) => news.tell(path, f),
            Self::WorkerLost => {
                f.write_str("a thread of the proxy has died of a mistake in it, please report it")
            }
            Self::NoAddress => f.write_str(
                "no address to listen on: hosts.conf has no first line yet, and proxy.conf no HOST",
            ),
            Self::Barred(ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                write!(
                    f,
                    "not listening on cluster ports {}: CLUSTERPORTS in proxy.conf does not name them",
                    ports.join(", ")
                )
            }
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
            Self::Ejected(port, at, time) => write!(
                f,
                "backend {at} of cluster port {port} comes last for {} s",
                time.as_secs()
            ),
            Self::Readmitted(port, at) => {
                write!(f, "backend {at} of cluster port {port} answers again")
            }
            Self::PeerFailed(port, at, why) => {
                write!(f, "proxy {at} failed for cluster port {port}: {why}")
            }
            Self::NotServed { port, client, busy } => {
                let why = if *busy {
                    "all backends are full"
                } else {
                    "no backend answers"
                };
                write!(f, "cluster port {port}: {why}; reset {client}")
            }
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
            Self::Draining(open) => write!(f, "ending: waiting for {open} open connections"),
            Self::Cut(open) => write!(f, "the time is up: reset {open} connections"),
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
