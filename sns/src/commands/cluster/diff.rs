//! `sns cluster diff`.

use clap::Args;
use names::ReleaseId;

use super::sync::{exit_code, options, show_all};
use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::remote::Remotes;
use crate::syncing::{self, HostOutcome, Only, OnlyTarget, Session, Source};

/// Show what a sync would change on each host, and what that does to its pods; nothing is changed
///
/// What on a host is not as its last sync left it (changed by hand, missing, extra) is told apart, and so is that a
/// host went back by itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns cluster diff
  sns cluster diff --exit-code || echo 'the hosts are not as the project says'
  sns cluster diff --json")]
pub(crate) struct DiffArgs {
    /// As in `sns cluster sync`
    #[arg(long, value_name = "POD:VERSION")]
    pod_to_overwrite: Vec<ReleaseId>,

    /// As in `sns cluster sync`
    #[arg(long, value_name = "HOST[/POD]")]
    only: Vec<OnlyTarget>,

    /// Exit with 10 when a sync would change something, or cannot be known to change nothing
    #[arg(long)]
    exit_code: bool,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Compares the project, as it is on disk, with the hosts.
pub(crate) fn run(context: &Context<'_>, args: &DiffArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    cluster.warn_of_overlooked(context.ui)?;
    let source = Source::read(&cluster, Only::of(&args.only))?;
    syncing::check_overwrite(&source, &args.pod_to_overwrite)?;
    let remotes = Remotes::new(context.environment)?;
    let session = Session {
        cluster: &cluster,
        remotes: &remotes,
        source: &source,
        ui: Some(context.ui),
    };
    let (outcomes, refusals) = session.diff(&options(&args.pod_to_overwrite))?;
    context.tell_warnings(&remotes);
    show_all(context, &outcomes, args.json);
    outcomes
        .iter()
        .for_each(|outcome| show_drift(context, outcome));
    // A sync would be refused now; the comparison is right all the same.
    for refusal in [
        syncing::check_ports(&cluster),
        syncing::check_clean(&cluster),
        cluster.check_ignored(),
        syncing::check_plugins(&source),
    ]
    .into_iter()
    .filter_map(Result::err)
    .chain(refusals)
    {
        context
            .ui
            .warning(&format!("a sync would be refused: {refusal}"));
    }
    let unknown = outcomes
        .iter()
        .filter(|outcome| outcome.failure().is_some());
    let names: Vec<&str> = unknown.map(|outcome| outcome.host.as_str()).collect();
    if !names.is_empty() {
        return Err(CommandError::new(
            Kind::Incomplete,
            format!("could not compare all hosts: {}", names.join(", ")),
        ));
    }
    exit_code(&outcomes, args.exit_code)
}

/// What is not as the last sync left it.
fn show_drift(context: &Context<'_>, outcome: &HostOutcome) {
    let host = &outcome.host;
    if let Some(reverted) = &outcome.reverted {
        context.ui.warning(&format!(
            "host {host} went back by itself from {}: {}",
            reverted.commit, reverted.why
        ));
    }
    if outcome.drift.is_empty() {
        return;
    }
    context.ui.warning(&format!(
        "host {host} is not as its last sync left it; to put that right:"
    ));
    for step in &outcome.drift.steps {
        context.ui.note(&format!("  {step}"));
    }
}
