//! The log of one sync, in `_synclogs/` of the project. Git ignores the whole directory, so that a sync
//! leaves the project clean (docs/decisions/0002-logs-outside-git.md).

use std::fs;
use std::path::{Path, PathBuf};

use super::{HostOutcome, change_lines};
use crate::command_error::CommandError;
use crate::project::{Cluster, journal_line};

/// A log that was begun before any host was changed: a project whose disk is full cannot be told later what
/// its hosts became.
pub(crate) struct SyncLog<'a> {
    cluster: &'a Cluster<'a>,
    /// What it begins with.
    head: String,
    path: PathBuf,
}

impl<'a> SyncLog<'a> {
    /// Begins it, for a sync of this commit.
    pub(crate) fn begin(cluster: &'a Cluster<'a>, commit: &str) -> Result<Self, CommandError> {
        let directory = cluster.files.synclogs();
        fs::create_dir_all(&directory).map_err(|error| {
            let message = format!("could not make the directory {}", directory.display());
            untouched(CommandError::files(message, error))
        })?;
        let write = |path: &Path, text: &str| {
            hostfiles::replace(path, text.as_bytes(), 0o644)
                .map_err(|error| untouched(error.into()))
        };
        write(&directory.join(".gitignore"), "*\n")?;
        // Two syncs in one second are told apart by their processes.
        let name = format!(
            "{}.{}.sync.log.txt",
            cluster.environment.now.as_second(),
            std::process::id()
        );
        let path = directory.join(name);
        let head = journal_line(
            cluster.environment,
            &format!("SYNC {} at {commit}", cluster.id),
        );
        write(&path, &head)?;
        Ok(Self {
            cluster,
            head,
            path,
        })
    }

    /// Ends it with what became of the hosts. Gives its path.
    pub(crate) fn finish(self, outcomes: &[HostOutcome]) -> Result<PathBuf, CommandError> {
        let text = self.head.clone() + &text(self.cluster, outcomes);
        hostfiles::replace(&self.path, text.as_bytes(), 0o644)?;
        Ok(self.path)
    }

    /// Takes it back, for a sync that was refused.
    pub(crate) fn discard(self) {
        // The refusal is what matters; the line that stays is true.
        let _ = fs::remove_file(&self.path);
    }
}

fn untouched(error: CommandError) -> CommandError {
    error.hint("nothing was changed on any host; make room for the log of the sync")
}

fn text(cluster: &Cluster<'_>, outcomes: &[HostOutcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        text.push_str(&format!("{}: {}\n", outcome.host, outcome.word()));
        for line in change_lines(outcome) {
            text.push_str(&format!("  {line}\n"));
        }
        for release in &outcome.plan.held_back {
            text.push_str(&format!("  ! {release} pod differs and was not sent\n"));
        }
        if let Some(error) = outcome.failure() {
            text.push_str(&format!("  because: {error}\n"));
        }
    }
    let word = match outcomes.iter().any(|outcome| outcome.failure().is_some()) {
        true => "SYNC_ABORTED_ON_ERROR",
        false => "SYNC_DONE",
    };
    text + &journal_line(cluster.environment, word)
}
