//! Why a step failed, in words for people, and what that says about the program that it was about.

use std::io;

use names::SecretName;
use simplenetes_plugin::Answer;

use crate::cgroup::GroupError;
use crate::log::{complaint, complaint_in};
use crate::secrets::SecretError;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A path leaves the release directory, or the file system refuses.
    #[error("cannot {what} `{path}` of the release")]
    Path {
        /// What was tried.
        what: &'static str,
        /// The path as the step has it.
        path: String,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program as the step has it.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A command ended with another status than zero.
    #[error("{id}: ended with {status}{}", tail(.said))]
    Status {
        /// The name of the step.
        id: String,
        /// Its exit status, 128 + signal number.
        status: i32,
        /// The last line that it wrote to standard error.
        said: String,
    },
    /// A command did not end in time; it was ended, with all that it had started.
    #[error("{id}: no end after {after_ms} ms{}", tail(.said))]
    Deadline {
        /// The name of the step.
        id: String,
        /// How long it had.
        after_ms: u64,
        /// The last line that it wrote.
        said: String,
    },
    /// A command wrote nothing for too long; it was ended, with all that it had started.
    #[error("{id}: no output for {after_ms} ms{}", tail(.said))]
    Silent {
        /// The name of the step.
        id: String,
        /// How long it was silent.
        after_ms: u64,
        /// The last line that it wrote.
        said: String,
    },
    /// A download was ended because something else is wanted now.
    #[error("{id}: cancelled, something else is wanted now")]
    Cancelled {
        /// The name of the step.
        id: String,
    },
    /// The shim of a unit could not start it.
    #[error("unit {unit} could not be started: {message}")]
    Shim {
        /// The unit.
        unit: String,
        /// What the shim answered.
        message: String,
    },
    /// The limits of a unit cannot be kept here; without them it is not started.
    #[error("the limits of unit {unit} cannot be kept")]
    Limits {
        /// The unit.
        unit: String,
        /// Why.
        #[source]
        source: GroupError,
    },
    /// A signal could not be sent.
    #[error("cannot send {signal} to unit {unit}")]
    Signal {
        /// The unit.
        unit: String,
        /// The signal.
        signal: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A secret of the host cannot be used.
    #[error("cannot use the secret `{name}` of the host")]
    Secret {
        /// Its name.
        name: SecretName,
        /// Why.
        #[source]
        source: Box<SecretError>,
    },
    /// The step is not for this place.
    #[error("{0}")]
    Refused(String),
}

impl StepError {
    /// True when running the step again brings the same until pod or plugin change.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Limits { source, .. } => source.is_final(),
            _ => false,
        }
    }

    /// True when the program itself is why: it ended badly, not at all in time, or is not there. Anything
    /// else says nothing about it, for example a machine that has no memory left.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        use io::ErrorKind::{NotFound, PermissionDenied};
        match self {
            Self::Status { .. } | Self::Deadline { .. } | Self::Silent { .. } => true,
            Self::Start { source, .. } => matches!(source.kind(), NotFound | PermissionDenied),
            Self::Cancelled { .. }
            | Self::Path { .. }
            | Self::Shim { .. }
            | Self::Limits { .. }
            | Self::Signal { .. }
            | Self::Secret { .. }
            | Self::Refused(_) => false,
        }
    }
}

/// A command that ended with anything but zero has failed; its last line says why.
pub(super) fn succeeded(id: String, answer: Answer) -> Result<Answer, StepError> {
    if answer.exit == 0 {
        return Ok(answer);
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    let said = complaint_in(&said);
    Err(StepError::Status {
        id,
        status: answer.exit,
        said: said.unwrap_or_default().to_owned(),
    })
}

fn tail(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {}", complaint(said))
    }
}
