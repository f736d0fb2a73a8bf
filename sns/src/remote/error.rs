//! What can go wrong between here and a host, and what the operator can do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::command_error::Kind;

/// A host could not be reached, or a command on it could not be run.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum RemoteError {
    /// The settings do not say how.
    #[error("cannot tell how to reach host {host}")]
    Route {
        /// The host.
        host: String,
        /// What is wrong with them.
        #[source]
        source: Arc<RouteError>,
    },
    /// No connection.
    #[error("could not reach host {host}{}", through(.jumps))]
    Unreached {
        /// The host.
        host: String,
        /// The hosts on the way that were reached, the nearest first.
        jumps: Vec<String>,
        /// Where and why it failed.
        #[source]
        source: Arc<HopError>,
    },
    /// There was a connection, and it ended.
    #[error("the connection to host {host} was lost: {why}")]
    Lost {
        /// The host.
        host: String,
        /// What is known about it.
        why: String,
    },
    /// The server does not run commands for this user.
    #[error("host {host} would not run {program}: {why}")]
    NotRun {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// What the server or the system said.
        why: String,
    },
    /// More output than anybody asked for.
    #[error("{program} on host {host} wrote more than {bytes_max} bytes")]
    TooMuch {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// The bound.
        bytes_max: usize,
    },
    /// This machine did not give what a connection needs.
    #[error("cannot {attempt}")]
    Here {
        /// What was attempted.
        attempt: &'static str,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
}

fn read(error: &hostfiles::ReadError) -> Kind {
    match error {
        hostfiles::ReadError::Io { .. } => Kind::Files,
        _ => Kind::Diagnostics,
    }
}

fn through(jumps: &[String]) -> String {
    match jumps {
        [] => String::new(),
        jumps => format!(" through {}", jumps.join(", ")),
    }
}

/// The settings of a host or of one on the way to it do not lead to an address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    /// No HOST.
    #[error("{file} has no HOST")]
    NoAddress {
        /// The file.
        file: String,
    },
    /// No USER.
    #[error("{file} has no USER")]
    NoUser {
        /// The file.
        file: String,
    },
    /// JUMPHOST names nothing.
    #[error("{file} has JUMPHOST={jump_host}, and there is no host.env at {}", path.display())]
    NoJumpHost {
        /// The file.
        file: String,
        /// What stands in it.
        jump_host: String,
        /// Where it leads.
        path: PathBuf,
    },
    /// JUMPHOST names this machine.
    #[error("the jump host {name} is this machine (HOST=local)")]
    LocalJumpHost {
        /// The jump host.
        name: String,
    },
    /// The jump hosts lead back.
    #[error("its jump hosts lead in a circle: {}", names.join(" → "))]
    Circle {
        /// Those on the way, from the host on.
        names: Vec<String>,
    },
    /// Too many jump hosts.
    #[error("it has more than {max} jump hosts")]
    TooLong {
        /// The bound.
        max: usize,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] hostfiles::ReadError),
}

/// One connection of the chain could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HopError {
    /// One on the way was not reached.
    #[error("could not reach its jump host {name}")]
    Jump {
        /// The jump host.
        name: String,
        /// Why.
        #[source]
        source: Arc<HopError>,
    },
    /// No connection to the port.
    #[error("could not connect to {address}")]
    Dial {
        /// Address and port.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The jump host did not pass on.
    #[error("the jump host {jump} could not connect to {address}: {why}")]
    Forward {
        /// The jump host.
        jump: String,
        /// Address and port.
        address: String,
        /// What its server said.
        why: String,
    },
    /// Nobody answers, or too slowly.
    #[error("{address} did not {missing} within {seconds} s")]
    Silent {
        /// Address and port.
        address: String,
        /// What was waited for.
        missing: &'static str,
        /// How long.
        seconds: u64,
    },
    /// What answers is no SSH server, or one that we have nothing in common with.
    #[error("{address} does not talk SSH with us")]
    Protocol {
        /// Address and port.
        address: String,
        /// What the protocol said.
        #[source]
        source: russh::Error,
    },
    /// The project has no key of the host.
    #[error("nobody has said that {address} may be trusted: the project has no {file}")]
    Unpinned {
        /// Address and port.
        address: String,
        /// The file that is missing.
        file: String,
        /// The key that was shown, and its fingerprint.
        shown: String,
        /// The host to trust.
        host: String,
    },
    /// The server is another one, or somebody stands between.
    #[error(
        "{address} IS NOT THE HOST THAT THE PROJECT KNOWS, or somebody listens in between: its key is none of {file}"
    )]
    Changed {
        /// Address and port.
        address: String,
        /// The file with the keys.
        file: String,
        /// The key that was shown, and its fingerprint.
        shown: String,
        /// Those of the file, with their fingerprints.
        pinned: Vec<String>,
        /// The host whose file it is.
        host: String,
    },
    /// The keys of the project cannot be read.
    #[error(transparent)]
    Pins(#[from] hostfiles::ReadError),
    /// The server does not let us in.
    #[error("{address} does not let user {user} in")]
    Denied {
        /// Address and port.
        address: String,
        /// The user.
        user: String,
        /// Each key that was tried, and what came of it.
        tried: Vec<String>,
        /// What would help.
        hint: Option<String>,
    },
    /// The connection ended before we were let in.
    #[error("{address} ended the connection: {why}")]
    Ended {
        /// Address and port.
        address: String,
        /// What is known about it.
        why: String,
    },
}

impl RemoteError {
    /// What sort of failure it is for the exit code.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Route { source, .. } => match **source {
                RouteError::Read(ref error) => read(error),
                _ => Kind::Mistake,
            },
            Self::Unreached { source, .. } => match source.root() {
                HopError::Unpinned { .. } | HopError::Changed { .. } => Kind::Refused,
                HopError::Pins(error) => read(error),
                _ => Kind::Unreachable,
            },
            Self::Lost { .. } => Kind::Unreachable,
            Self::NotRun { .. } | Self::TooMuch { .. } => Kind::Mistake,
            Self::Here { .. } => Kind::Files,
        }
    }

    /// True when nobody listens there, as it is for a moment while a server reads its configuration again.
    pub(crate) fn is_refused(&self) -> bool {
        match self.root() {
            Some(HopError::Dial { source, .. }) => {
                source.kind() == io::ErrorKind::ConnectionRefused
            }
            Some(HopError::Forward { .. }) => true,
            _ => false,
        }
    }

    /// What it is about, one line each.
    pub(crate) fn details(&self) -> Vec<String> {
        match self.root() {
            Some(HopError::Unpinned { shown, .. }) => vec![format!("it shows {shown}")],
            Some(HopError::Changed { shown, pinned, .. }) => {
                let known = pinned.iter().map(|key| format!("the project knows {key}"));
                known
                    .chain([format!("it shows          {shown}")])
                    .collect()
            }
            Some(HopError::Denied { tried, .. }) => tried.clone(),
            _ => Vec::new(),
        }
    }

    /// What the operator can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self.root()? {
            HopError::Unpinned { host, .. } => Some(format!(
                "compare the fingerprint with the one on the host itself, then `sns host trust {host}`"
            )),
            HopError::Changed { host, .. } => Some(format!(
                "only if you know why its key changed: `sns host trust {host} --replace`"
            )),
            HopError::Denied { hint, .. } => hint.clone(),
            _ => None,
        }
    }

    fn root(&self) -> Option<&HopError> {
        match self {
            Self::Unreached { source, .. } => Some(source.root()),
            _ => None,
        }
    }
}

impl HopError {
    /// What went wrong at the hop where it did.
    fn root(&self) -> &Self {
        match self {
            Self::Jump { source, .. } => source.root(),
            own => own,
        }
    }
}
