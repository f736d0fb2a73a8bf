//! How a unit is asked whether it has started, may get traffic, and lives.

use names::UnitName;
use serde::{Deserialize, Serialize};

/// Seconds that a probe may take when its pod.yaml names no `timeout`.
pub(crate) const TIMEOUT_SECONDS: u32 = 120;

/// A readiness or liveness probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// Seconds after which an unanswered probe has failed, at least 1.
    pub timeout_seconds: u32,
    /// What is asked.
    pub check: Check,
}

/// A startup probe: the next unit starts when it has succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartupProbe {
    /// Seconds that the unit has for starting, at least 1.
    pub timeout_seconds: u32,
    /// What is asked.
    pub check: StartupCheck,
    /// Units that are signalled when this one has started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signal: Vec<UnitName>,
}

/// What a readiness or liveness probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Check {
    /// Runs this argument vector in the unit; exit status zero is success.
    #[serde(rename = "cmd")]
    Command(Vec<String>),
    /// Fetches a page; a status from 200 to 399 is success.
    #[serde(rename = "http")]
    Http(HttpCheck),
    /// Connects; an accepted connection is success.
    #[serde(rename = "tcp")]
    Tcp(TcpCheck),
}

/// What a startup probe asks: the same checks, and the end of the unit itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartupCheck {
    /// The unit has ended with zero.
    #[serde(rename = "exit")]
    Exit,
    /// As [`Check::Command`].
    #[serde(rename = "cmd")]
    Command(Vec<String>),
    /// As [`Check::Http`].
    #[serde(rename = "http")]
    Http(HttpCheck),
    /// As [`Check::Tcp`].
    #[serde(rename = "tcp")]
    Tcp(TcpCheck),
}

/// Which page a probe fetches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpCheck {
    /// The target port: the one the unit knows itself by, not the host port.
    pub port: u16,
    /// The path, beginning with `/`.
    pub path: String,
}

/// Which port a probe connects to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpCheck {
    /// The target port: the one the unit knows itself by, not the host port.
    pub port: u16,
}

impl StartupCheck {
    /// The check that a probe can run; none for [`Self::Exit`], which is noticed, not asked.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        match self {
            Self::Exit => None,
            Self::Command(argv) => Some(Check::Command(argv.clone())),
            Self::Http(http) => Some(Check::Http(http.clone())),
            Self::Tcp(tcp) => Some(Check::Tcp(tcp.clone())),
        }
    }
}

impl From<Check> for StartupCheck {
    fn from(check: Check) -> Self {
        match check {
            Check::Command(argv) => Self::Command(argv),
            Check::Http(http) => Self::Http(http),
            Check::Tcp(tcp) => Self::Tcp(tcp),
        }
    }
}
