//! What a host that does not do what it was asked means for the operator.

use simplenetes_sync::near::LinkError;
use simplenetes_sync::wire::{Refusal, RefusalKind};

use crate::command_error::{CommandError, Kind};
use crate::project::Host;

/// So many lines of what a program has said are shown, and so much of each.
const LINES_MAX: usize = 10;
const LINE_CHARS_MAX: usize = 500;

/// A host did not take part to the end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is out of reach, now or since a moment ago. The other hosts go on.
    Away(CommandError),
    /// It said no, or the project cannot give it what it needs.
    No(CommandError),
}

impl Failure {
    /// For one who asks a single host.
    pub(crate) fn into_error(self) -> CommandError {
        match self {
            Self::Away(error) | Self::No(error) => error,
        }
    }

    /// What became of a question; `said` is the last that the program there wrote to its standard error.
    pub(super) fn of(host: &Host, error: LinkError, said: &str) -> Self {
        match error {
            LinkError::Refused(refusal) => Self::No(refused(host, refusal)),
            LinkError::Near(error) => Self::No(error.into()),
            LinkError::Wire(error) => {
                let name = &host.name;
                let failure =
                    CommandError::new(Kind::Unreachable, format!("host {name} stopped answering"))
                        .caused_by(error)
                        .listing(last_lines(said));
                Self::Away(match said.contains("simplenetesd") {
                    true => failure.hint(format!(
                        "is simplenetesd installed there? `sns host setup install {name}` does it"
                    )),
                    false => failure,
                })
            }
        }
    }
}

/// The last lines of what a program has said, without what would steer a terminal: a host may be hostile.
fn last_lines(said: &str) -> Vec<String> {
    let plain = |line: &str| {
        let line = line.chars().take(LINE_CHARS_MAX);
        line.map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    let mut lines: Vec<String> = said.lines().rev().take(LINES_MAX).map(plain).collect();
    lines.reverse();
    lines
}

fn refused(host: &Host, refusal: Refusal) -> CommandError {
    let place = format!("host {}", host.name);
    let name = &host.name;
    let Refusal {
        kind,
        message,
        causes,
    } = refusal;
    let because = |error: CommandError| match Cause::of(&causes) {
        Some(cause) => error.caused_by(cause),
        None => error,
    };
    match kind {
        RefusalKind::NoHostHome => CommandError::mistake(format!(
            "host {name} is not ready: {} has no cluster-id.txt",
            host.env.host_home()
        ))
        .hint(format!("prepare it with `sns host init {name}`")),
        RefusalKind::OtherCluster => because(CommandError::refused(message))
            .on(&place)
            .hint(format!("`sns host init {name} --force` takes it over")),
        RefusalKind::Locked | RefusalKind::Owner => {
            because(CommandError::refused(message)).on(&place)
        }
        RefusalKind::Plugin => because(CommandError::mistake(message))
            .on(&place)
            .hint("no host was changed; install another version with `sns plugin install`"),
        RefusalKind::Unreachable => because(CommandError::new(Kind::Files, message)).on(&place),
        RefusalKind::Unfinished => because(CommandError::new(
            Kind::Mixed,
            "changed in part; its daemon takes nothing new until the sync is finished",
        ))
        .on(&place)
        .hint("correct the cause, then sync again: that finishes it"),
        RefusalKind::Unconfirmed => {
            because(CommandError::new(Kind::Incomplete, message)).on(&place)
        }
        RefusalKind::Protocol => because(CommandError::mistake(message)).on(&place),
        RefusalKind::Unchanged | RefusalKind::Failed => {
            let mut words = vec![message];
            words.extend(causes);
            let error = CommandError::new(Kind::Files, "not as the project wants it");
            match Cause::of(&words) {
                Some(cause) => error.caused_by(cause),
                None => error,
            }
            .on(&place)
        }
    }
}

/// What a host gave as the cause, which came as words.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Cause {
    words: String,
    source: Option<Box<Cause>>,
}

impl Cause {
    fn of(words: &[String]) -> Option<Self> {
        let (first, rest) = words.split_first()?;
        Some(Self {
            words: first.clone(),
            source: Self::of(rest).map(Box::new),
        })
    }
}
