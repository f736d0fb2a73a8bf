//! `sns cluster sync`.

use clap::Args;
use names::ReleaseId;
use simplenetes_sync::Options;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::syncing::{self, Became, HostOutcome, Request, Source, SyncLog};

/// Make the hosts equal to the project
///
/// Refused while the project has uncommitted changes, ports clash, or a host knows commits that the
/// project does not have. Each host ends at the old commit or at the new one; one that the disk fails
/// under half-way is told as unfinished, and its daemon takes nothing new until that sync is finished.
/// Leaves the project clean; the log lies in _synclogs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  git add . && git commit -m 'First sync' && sns cluster sync
  sns cluster sync --pod-to-overwrite=web:1.0.0
  git checkout HEAD~1 && sns cluster sync --force")]
pub(crate) struct SyncArgs {
    /// Sync even if the project is behind the hosts or has branched: what it lacks is taken back
    #[arg(short, long)]
    force: bool,

    /// Print results only
    #[arg(short, long, visible_alias = "quite")]
    quiet: bool,

    /// Replace the compiled pod of a version that the hosts have already; may be repeated
    #[arg(long, value_name = "POD:VERSION")]
    pod_to_overwrite: Vec<ReleaseId>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Checks, syncs, writes the log, tells the truth about each host.
pub(crate) fn run(context: &Context<'_>, args: &SyncArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    cluster.warn_of_overlooked(context.ui)?;
    syncing::check_ports(&cluster)?;
    let source = Source::read(&cluster)?;
    syncing::check_clean(&cluster)?;
    cluster.check_ignored()?;
    syncing::check_overwrite(&source, &args.pod_to_overwrite)?;
    warn_of_missing_plugins(context, &source)?;
    let request = Request {
        force: args.force,
        options: options(&args.pod_to_overwrite),
    };
    let progress = if args.quiet { None } else { Some(context.ui) };
    let log = SyncLog::begin(&cluster, source.chain.head().unwrap_or_default())?;
    let outcomes = match syncing::sync(&cluster, &source, &request, progress) {
        Ok(outcomes) => outcomes,
        Err(refused) => {
            log.discard();
            return Err(refused);
        }
    };
    let log = log.finish(&outcomes);
    show_all(context, &outcomes, args.json);
    let log = log?;
    if !args.quiet {
        context.ui.note(&format!("log: {}", cluster.shown(&log)));
    }
    summary(&outcomes)
}

/// What may be replaced although the hosts have it already.
pub(super) fn options(overwrite: &[ReleaseId]) -> Options {
    Options {
        overwrite: overwrite.iter().cloned().collect(),
    }
}

/// Warns of pods that their host could not run.
pub(super) fn warn_of_missing_plugins(
    context: &Context<'_>,
    source: &Source,
) -> Result<(), CommandError> {
    let missing = syncing::missing_plugins(source)?;
    missing
        .iter()
        .for_each(|warning| context.ui.warning(warning));
    if !missing.is_empty() {
        context.ui.hint(
            "`sns host init HOST` installs the first-party plugins, `sns plugin install` others",
        );
    }
    Ok(())
}

/// What became of every host, for people or for programs.
pub(super) fn show_all(context: &Context<'_>, outcomes: &[HostOutcome], json: bool) {
    if json {
        context
            .ui
            .json(&outcomes.iter().map(HostOutcome::json).collect());
    } else {
        outcomes.iter().for_each(|outcome| show(context, outcome));
    }
}

/// One line per host, its changes below it.
fn show(context: &Context<'_>, outcome: &HostOutcome) {
    let lines = syncing::change_lines(outcome);
    let count = match lines.len() {
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    };
    match &outcome.became {
        Became::Unchanged => context
            .ui
            .result(&format!("{}: nothing to do", outcome.host)),
        Became::Planned if lines.is_empty() => context
            .ui
            .result(&format!("{}: nothing to do", outcome.host)),
        Became::Planned => context
            .ui
            .result(&format!("{}: {count} to make", outcome.host)),
        Became::Updated => context
            .ui
            .result(&format!("{}: {count} made", outcome.host)),
        Became::Failed(error) | Became::Unfinished(error) => {
            context
                .ui
                .result(&format!("{}: {}", outcome.host, outcome.word()));
            context.ui.failure(error);
            return;
        }
    }
    lines
        .iter()
        .for_each(|line| context.ui.result(&format!("  {line}")));
    for release in &outcome.plan.held_back {
        context.ui.warning(&format!(
            "the compiled {release} differs from the one on host {} and was not sent",
            outcome.host
        ));
        context.ui.hint(&format!(
            "raise its podVersion, or name it: --pod-to-overwrite={release}"
        ));
    }
}

fn summary(outcomes: &[HostOutcome]) -> Result<(), CommandError> {
    let incomplete: Vec<&HostOutcome> = outcomes
        .iter()
        .filter(|outcome| !outcome.is_complete())
        .collect();
    if incomplete.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = incomplete
        .iter()
        .map(|outcome| outcome.host.as_str())
        .collect();
    let have = if outcomes.len() == 1 {
        "host has"
    } else {
        "hosts have"
    };
    let message = format!(
        "{} of {} {have} not all that the project wants: {}",
        incomplete.len(),
        outcomes.len(),
        names.join(", ")
    );
    let error = CommandError::new(Kind::Incomplete, message);
    let has_failed = incomplete.iter().any(|outcome| outcome.failure().is_some());
    Err(match has_failed {
        true => error.hint("correct the cause and sync again: what is done is not done twice"),
        false => error,
    })
}
