//! What can go wrong, as the user sees it: a kind, which alone decides the exit code, a message, what
//! caused it, and hints. The table of kinds is the manual (`docs/EXIT_CODES.md`, kept equal by a test).

use std::error::Error;
use std::fmt;

use simplenetes_sync::near::NearError;

use crate::remote::RemoteError;

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The answer to a question that was asked is no.
    No,
    /// The command line is wrong.
    CommandLine,
    /// What was asked for cannot be done as the project stands.
    Mistake,
    /// A `pod.yaml` or another file that people write has mistakes.
    Diagnostics,
    /// A safety check stopped the command before anything was changed.
    Refused,
    /// Some host has not all that the project wants.
    Incomplete,
    /// A file could not be read or written.
    Files,
    /// A host could not be reached, or the connection to it was lost.
    Unreachable,
    /// Some host is between what it was and what the project wants, or nobody knows.
    Mixed,
    /// The answer to `--exit-code`: there was something to do.
    Changes,
    /// A mistake in sns itself, or in a plugin.
    Internal,
    /// A command that was run for the operator ended so; it has said why itself.
    Theirs(u8),
}

impl Kind {
    /// Every kind, in the order of the exit codes.
    #[cfg(test)]
    const ALL: [Self; 11] = [
        Self::No,
        Self::CommandLine,
        Self::Mistake,
        Self::Diagnostics,
        Self::Refused,
        Self::Incomplete,
        Self::Files,
        Self::Unreachable,
        Self::Mixed,
        Self::Changes,
        Self::Internal,
    ];

    /// The exit code of the program.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::No => 1,
            Self::CommandLine => 2,
            Self::Mistake => 3,
            Self::Diagnostics => 4,
            Self::Refused => 5,
            Self::Incomplete => 6,
            Self::Files => 7,
            Self::Unreachable => 8,
            Self::Mixed => 9,
            Self::Changes => 10,
            Self::Internal => 70,
            Self::Theirs(code) => code,
        }
    }

    /// The row of the manual.
    #[cfg(test)]
    fn meaning(self) -> &'static str {
        match self {
            Self::No => {
                "The answer is no: `sns pod ps -r -q` found no ready replica, or the operator did not say yes. Nothing is printed."
            }
            Self::CommandLine => "The command line is wrong. Nothing was done.",
            Self::Mistake => {
                "What was asked for cannot be done as the project stands: an unknown host or pod, a port clash, a missing plugin."
            }
            Self::Diagnostics => {
                "A file that people write (`pod.yaml`, `cluster-vars.env`, `host.env` …) has mistakes; each is printed with its place."
            }
            Self::Refused => {
                "A safety check said no before anything was changed: uncommitted changes, a project that is behind or has branched, another cluster's host, a held lock. The message names the way out."
            }
            Self::Incomplete => {
                "A sync did not give every host what the project wants. The output says which: `failed` is entirely as before, `went back` was changed and is as before again, and a compiled pod that changed under the version that a host runs was not sent. Or `sns host setup` stopped at a step, which it names; what came before it is done, and running it again goes on."
            }
            Self::Files => "A file or directory could not be read or written.",
            Self::Unreachable => {
                "A host could not be reached, did not let the user in, or the connection to it was lost."
            }
            Self::Mixed => {
                "A host is neither as before nor as the project wants: the output says `unfinished` (it was changed in part, and takes nothing new until the next sync or its daemon has finished it) or `unknown` (the connection was lost while it changed; unless it was confirmed it goes back by itself)."
            }
            Self::Changes => {
                "The answer to `--exit-code`: `sns cluster sync` changed something, or `sns cluster diff` found something to change."
            }
            Self::Internal => "A mistake in sns or in a plugin. Please report it.",
            Self::Theirs(_) => "The exit status of the command that was run.",
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    details: Vec<String>,
    hints: Vec<String>,
}

impl CommandError {
    /// A failure with what was attempted, on what.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            details: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// What was asked for cannot be done.
    pub(crate) fn mistake(message: impl Into<String>) -> Self {
        Self::new(Kind::Mistake, message)
    }

    /// A safety check said no.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// A file could not be read or written.
    pub(crate) fn files(
        message: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::new(Kind::Files, message).caused_by(cause)
    }

    /// The answer is no, and nothing needs saying.
    pub(crate) fn no() -> Self {
        Self::new(Kind::No, String::new())
    }

    /// There was something to do, and somebody wants to know by the exit code.
    pub(crate) fn changes() -> Self {
        Self::new(Kind::Changes, String::new())
    }

    /// A command that was run for the operator ended with this code, and nothing needs saying.
    pub(crate) fn theirs(code: u8) -> Self {
        Self::new(Kind::Theirs(code), String::new())
    }

    /// Adds the cause, whose text the message does not repeat.
    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Adds the things that it is about, one line each.
    pub(crate) fn listing(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// Adds what the user can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says where it happened, in front of the message.
    pub(crate) fn on(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Adds a hint when there is one.
    pub(crate) fn hint_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// What sort of failure it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The things that it is about.
    pub(crate) fn details(&self) -> &[String] {
        &self.details
    }

    /// What the user can do.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The message and every cause below it, one text each.
    pub(crate) fn chain(&self) -> Vec<String> {
        let mut texts = vec![self.message.clone()];
        let mut cause = self.source.as_deref().map(|cause| cause as &dyn Error);
        while let Some(error) = cause {
            // Some libraries break their messages into lines.
            let text = error
                .to_string()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            if texts.last() != Some(&text) {
                texts.push(text);
            }
            cause = error.source();
        }
        texts
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain().join(": "))?;
        self.details
            .iter()
            .try_for_each(|detail| write!(f, "; {}", detail.trim()))
    }
}

/// A wrong word on the command line, named and explained by its own error.
macro_rules! from_word_errors {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for CommandError {
            fn from(error: $error) -> Self {
                Self::new(Kind::CommandLine, error.to_string())
            }
        })+
    };
}

from_word_errors!(
    names::NameError,
    names::VersionError,
    names::ReleaseError,
    names::StateError
);

impl From<git2::Error> for CommandError {
    fn from(error: git2::Error) -> Self {
        // Its Display adds numbers that mean something inside the library only.
        Self::files(
            "git could not read or change the repository",
            error.message().to_owned(),
        )
    }
}

impl From<hostfiles::ReadError> for CommandError {
    fn from(error: hostfiles::ReadError) -> Self {
        let path = error.path().display().to_string();
        match error {
            hostfiles::ReadError::Io { source, .. } => {
                Self::files(format!("could not read {path}"), source)
            }
            hostfiles::ReadError::Foreign { .. } => Self::new(Kind::Diagnostics, error.to_string()),
            hostfiles::ReadError::Format { source, .. } => {
                Self::new(Kind::Diagnostics, format!("could not understand {path}"))
                    .caused_by(source)
            }
        }
    }
}

impl From<hostfiles::ReplaceError> for CommandError {
    fn from(error: hostfiles::ReplaceError) -> Self {
        Self::files(
            format!("could not change {}", error.path.display()),
            error.source,
        )
    }
}

impl From<RemoteError> for CommandError {
    fn from(error: RemoteError) -> Self {
        let (kind, details, hint) = (error.kind(), error.details(), error.hint());
        let failure = Self::new(kind, error.to_string());
        // Its own text is the message, and the chain says nothing twice.
        failure.listing(details).hint_if(hint).caused_by(error)
    }
}

impl From<NearError> for CommandError {
    fn from(error: NearError) -> Self {
        match error {
            NearError::Io { path, source } => {
                Self::files(format!("could not read {}", path.display()), source)
            }
            NearError::Format(source) => source.into(),
            NearError::Config { release, source } => {
                Self::mistake(format!("a config of {release} cannot be sent")).caused_by(source)
            }
            NearError::Changed { .. } => Self::refused(error.to_string()),
            NearError::Link { .. } => Self::mistake(error.to_string())
                .hint("put what it leads to in its place, if the hosts should have that"),
            NearError::TooLarge { .. } => Self::mistake(error.to_string())
                .hint("let the pod fetch by itself what is so large"),
            _ => Self::mistake(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> String {
        let rows = Kind::ALL
            .iter()
            .map(|kind| format!("| {} | {} |\n", kind.exit_code(), kind.meaning()));
        rows.collect()
    }

    #[test]
    fn the_manual_has_this_table() {
        let manual = include_str!("../../docs/EXIT_CODES.md");
        let table = format!(
            "| code | meaning |\n|---|---|\n| 0 | Done, and everything that was asked for is so. |\n{}",
            table()
        );
        assert!(
            manual.contains(&table),
            "docs/EXIT_CODES.md must contain\n{table}"
        );
    }

    #[test]
    fn the_help_has_every_code() {
        use clap::CommandFactory as _;
        let help = crate::cli::Cli::command().render_long_help().to_string();
        for kind in Kind::ALL {
            let row = format!("\n{:>4}  ", kind.exit_code());
            assert!(help.contains(&row), "{row} is missing");
        }
    }

    #[test]
    fn every_kind_has_its_own_code() {
        let mut codes: Vec<u8> = Kind::ALL.iter().map(|kind| kind.exit_code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), Kind::ALL.len());
        assert!(!codes.contains(&0));
    }
}
