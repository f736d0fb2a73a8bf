//! What a proxy has to tell its operator, as values.
//!
//! The library never prints: whoever starts a proxy hands in a [`Reporter`]. Each event has a level
//! and reads as one sentence.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::config::Problem;

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

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A port was opened.
    Listening(SocketAddr),
    /// A port was closed; its connections live on.
    Closed(SocketAddr),
    /// A port cannot be opened; it is tried again until it can or is no longer wanted.
    CannotListen(SocketAddr, String),
    /// A connection could not be taken from a port's queue.
    CannotAccept(SocketAddr, io::Error),
    /// Neither `HOST` nor hosts.conf says which address to listen on.
    NoAddress,
    /// There are new routes: cluster ports with a backend on this host, and other hosts.
    Routes {
        /// How many cluster ports lead to this host.
        ports: usize,
        /// How many other hosts there are.
        peers: usize,
    },
    /// A file cannot be read or understood; what it said before stays in force.
    FileRefused(PathBuf, String),
    /// A file is not there, so nothing is known from it until it appears.
    FileMissing(PathBuf),
    /// A file that was refused or missing is fine now.
    FileFine(PathBuf),
    /// A folder cannot be watched; its files are looked at every few seconds instead.
    CannotWatch(PathBuf, String),
    /// A new proxy.conf cannot be understood; the settings stay as they are.
    ConfigRefused(PathBuf, Vec<Problem>),
    /// A new proxy.conf is in force.
    ConfigRead(PathBuf),
    /// A backend did not answer; the next one is tried.
    BackendFailed(u16, SocketAddr, io::Error),
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
    /// A proxy asked for something that is not a cluster port, or did not ask at all.
    BadRequest(SocketAddr),
    /// A connection was taken.
    Opened(u16, SocketAddr),
    /// A connection broke off.
    Broken(u16, SocketAddr, io::Error),
    /// No more connections are taken; the open ones have some time left.
    Draining(usize),
    /// The time is up; the rest of the connections were reset.
    Cut(usize),
}

impl Event {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::CannotListen(..) | Self::FileRefused(..) | Self::ConfigRefused(..) => {
                Level::Error
            }
            Self::CannotAccept(..)
            | Self::NoAddress
            | Self::CannotWatch(..)
            | Self::BackendFailed(..)
            | Self::PeerFailed(..)
            | Self::NotServed { .. }
            | Self::BadRequest(_)
            | Self::Cut(_) => Level::Warn,
            Self::Listening(_)
            | Self::Closed(_)
            | Self::Routes { .. }
            | Self::FileMissing(_)
            | Self::FileFine(_)
            | Self::ConfigRead(_)
            | Self::Draining(_) => Level::Info,
            Self::Opened(..) | Self::Broken(..) => Level::Debug,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening(at) => write!(f, "listening on {at}"),
            Self::Closed(at) => write!(f, "closed {at}; its connections live on"),
            Self::CannotListen(at, why) => {
                write!(f, "cannot listen on {at}, will try again: {why}")
            }
            Self::CannotAccept(at, why) => write!(f, "cannot take a connection on {at}: {why}"),
            Self::NoAddress => write!(
                f,
                "no address to listen on: hosts.conf has no first line yet, and proxy.conf no HOST"
            ),
            Self::Routes { ports, peers } => {
                write!(
                    f,
                    "routing {ports} cluster ports to this host, and to {peers} other hosts"
                )
            }
            Self::FileRefused(path, why) => {
                write!(
                    f,
                    "{} is not used, what it said before stays in force: {why}",
                    path.display()
                )
            }
            Self::FileMissing(path) => {
                write!(f, "{} is not there yet", path.display())
            }
            Self::FileFine(path) => write!(f, "{} is read again", path.display()),
            Self::CannotWatch(path, why) => {
                write!(
                    f,
                    "cannot watch {}, looking every few seconds instead: {why}",
                    path.display()
                )
            }
            Self::ConfigRefused(path, problems) => {
                write!(f, "the settings stay as they are")?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n{}", problem.at(path)))
            }
            Self::ConfigRead(path) => write!(f, "{} is in force", path.display()),
            Self::BackendFailed(port, at, why) => {
                write!(
                    f,
                    "backend {at} of cluster port {port} does not answer: {why}"
                )
            }
            Self::PeerFailed(port, at, why) => {
                write!(f, "proxy {at} failed for cluster port {port}: {why}")
            }
            Self::NotServed {
                port,
                client,
                busy: true,
            } => {
                write!(
                    f,
                    "all backends of cluster port {port} are full; reset {client}"
                )
            }
            Self::NotServed {
                port,
                client,
                busy: false,
            } => {
                write!(
                    f,
                    "no backend of cluster port {port} answers; reset {client}"
                )
            }
            Self::BadRequest(peer) => write!(f, "{peer} did not ask for a cluster port"),
            Self::Opened(port, client) => write!(f, "{client} connected to cluster port {port}"),
            Self::Broken(port, client, why) => {
                write!(f, "{client} at cluster port {port} broke off: {why}")
            }
            Self::Draining(open) => write!(f, "ending: waiting for {open} open connections"),
            Self::Cut(open) => write!(f, "the time is up: reset {open} connections"),
        }
    }
}
