//! The log of one sync, in `_synclogs/` of the project. Git ignores the whole directory, so that a sync
//! leaves the project clean (docs/decisions/0002-logs-outside-git.md).

use std::fs;
use std::path::PathBuf;

use super::{HostOutcome, change_lines};
use crate::command_error::CommandError;
use crate::project::{Cluster, journal_line};

/// Writes it. Gives its path.
pub(crate) fn write(
    cluster: &Cluster<'_>,
    commit: &str,
    outcomes: &[HostOutcome],
) -> Result<PathBuf, CommandError> {
    let directory = cluster.files.synclogs();
    fs::create_dir_all(&directory).map_err(|error| {
        CommandError::files(
            format!("could not make the directory {}", directory.display()),
            error,
        )
    })?;
    hostfiles::replace(&directory.join(".gitignore"), b"*\n", 0o644)?;
    // Two syncs in one second are told apart by their processes.
    let name = format!(
        "{}.{}.sync.log.txt",
        cluster.environment.now.as_second(),
        std::process::id()
    );
    let path = directory.join(name);
    hostfiles::replace(&path, text(cluster, commit, outcomes).as_bytes(), 0o644)?;
    Ok(path)
}

fn text(cluster: &Cluster<'_>, commit: &str, outcomes: &[HostOutcome]) -> String {
    let mut text = journal_line(
        cluster.environment,
        &format!("SYNC {} at {commit}", cluster.id),
    );
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
