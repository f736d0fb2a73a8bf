//! What a proxy has to tell its operator, as values.
//!
//! The library never prints: whoever starts a proxy hands in a [`Reporter`]. Each event has a level
//! and reads as one sentence.

mod record;
mod sentences;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Problem;
use crate::health::{Ejection, Readmission};
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
    /// [`Event::Stranger`].
    Stranger,
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
            Self::Stranger => "strangers at the port for proxies",
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
    /// News of the socket at which the proxy shows what it does.
    Metrics(PathBuf, MetricsNews),
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
    Ejected {
        /// The cluster port.
        port: u16,
        /// The backend.
        backend: SocketAddr,
        /// How many times in a row it has not answered.
        failures: u32,
        /// For how long it comes last.
        time: Duration,
    },
    /// A backend that was ejected answers again.
    Readmitted {
        /// The cluster port.
        port: u16,
        /// The backend.
        backend: SocketAddr,
        /// How many times in a row it had not answered.
        failures: u32,
        /// How long ago it was ejected for the first time.
        away: Duration,
    },
    /// Another host's proxy did not answer, or not as a proxy; the next one is tried.
    PeerFailed(u16, SocketAddr, io::Error),
    /// The kernel's list of connections is nearly full: then it loses the packets of new ones.
    Tracked {
        /// How many connections are tracked.
        count: u64,
        /// How many can be.
        max: u64,
    },
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
    /// What becomes of the talk with another proxy.
    Peer(SocketAddr, PeerNews),
    /// Somebody wanted to be taken for a proxy of this cluster, and is none.
    Stranger(SocketAddr, io::Error),
    /// Another program goes on with everything that this one carries.
    Upgrading(PathBuf),
    /// Another program takes the place of this one, which serves out its connections in a process of its own.
    Succeeded(PathBuf),
    /// A program whose place another one has taken serves out so many connections, for so long at most.
    ServesOut(usize, Duration),
    /// It has: none is left.
    ServedOut,
    /// That program does not, and this one goes on; the text is a sentence.
    NotUpgraded(PathBuf, String),
    /// The keys of this proxy are of no use.
    KeysRefused(String),
    /// Proxies of which no key is known: they are not asked.
    Unknown(Vec<SocketAddr>),
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

/// What becomes of the talk with another proxy.
#[derive(Debug)]
#[non_exhaustive]
pub enum PeerNews {
    /// The two know each other.
    Joined,
    /// It was not heard for so long that nothing more is asked of it.
    Silent,
    /// It cannot be reached, or does not believe this proxy, or is not believed.
    Unreachable(io::Error),
}

/// What happened to the socket at which the proxy shows what it does.
#[derive(Debug)]
#[non_exhaustive]
pub enum MetricsNews {
    /// It was opened.
    Opened,
    /// It was closed.
    Closed,
    /// It cannot be opened; it is tried again until it can or is no longer wanted.
    CannotOpen(String),
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
    pub(crate) fn ejected(port: u16, backend: SocketAddr, ejection: Ejection) -> Self {
        let Ejection { failures, time } = ejection;
        Self::Ejected {
            port,
            backend,
            failures,
            time,
        }
    }

    pub(crate) fn readmitted(port: u16, backend: SocketAddr, back: Readmission) -> Self {
        let Readmission { failures, away } = back;
        Self::Readmitted {
            port,
            backend,
            failures,
            away,
        }
    }

    /// The kind of warning that it is, if connections cause it.
    pub(crate) fn warning(&self) -> Option<Warning> {
        match self {
            Self::BackendFailed(..) => Some(Warning::Backend),
            Self::PeerFailed(..) => Some(Warning::Peer),
            Self::NotServed { .. } => Some(Warning::NotServed),
            Self::NoHeader { .. } => Some(Warning::NoHeader),
            Self::BadRequest(_) => Some(Warning::BadRequest),
            Self::Stranger(..) => Some(Warning::Stranger),
            Self::Port(_, PortNews::CannotAccept(_)) => Some(Warning::CannotAccept),
            _ => None,
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::WorkerLost
            | Self::KeysRefused(_)
            | Self::NotUpgraded(..)
            | Self::Port(_, PortNews::CannotOpen(_))
            | Self::Metrics(_, MetricsNews::CannotOpen(_))
            | Self::File(_, FileNews::Refused(_) | FileNews::SettingsRefused(_)) => Level::Error,
            Self::Port(_, PortNews::CannotAccept(_))
            | Self::File(_, FileNews::CannotWatch(_))
            | Self::NoAddress
            | Self::Barred(_)
            | Self::BackendFailed(..)
            | Self::Ejected { .. }
            | Self::PeerFailed(..)
            | Self::NotServed { .. }
            | Self::NoHeader { .. }
            | Self::BadRequest(_)
            | Self::Stranger(..)
            | Self::Unknown(_)
            | Self::Tracked { .. }
            | Self::Peer(_, PeerNews::Silent | PeerNews::Unreachable(_))
            | Self::LeftOut(..)
            | Self::Cut(_) => Level::Warn,
            Self::Port(_, PortNews::Opened | PortNews::Closed)
            | Self::Metrics(_, MetricsNews::Opened | MetricsNews::Closed)
            | Self::File(_, FileNews::Missing | FileNews::Fine | FileNews::SettingsRead)
            | Self::Routes { .. }
            | Self::Peer(_, PeerNews::Joined)
            | Self::Upgrading(_)
            | Self::Succeeded(_)
            | Self::ServesOut(..)
            | Self::ServedOut
            | Self::Readmitted { .. }
            | Self::Draining(_) => Level::Info,
            Self::Opened(..) | Self::Broken(..) | Self::NoRequest(_) => Level::Debug,
        }
    }
}
