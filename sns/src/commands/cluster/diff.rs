//! `sns cluster diff`.

use clap::Args;
use names::ReleaseId;

use super::sync::{options, show_all, warn_of_missing_plugins};
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::syncing::{self, Source};

/// Show what a sync would change on each host; nothing is changed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns cluster diff
  sns cluster diff --json")]
pub(crate) struct DiffArgs {
    /// As in `sns cluster sync`
    #[arg(long, value_name = "POD:VERSION")]
    pod_to_overwrite: Vec<ReleaseId>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Compares the project, as it is on disk, with the hosts.
pub(crate) fn run(context: &Context<'_>, args: &DiffArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    cluster.warn_of_overlooked(context.ui)?;
    let source = Source::read(&cluster)?;
    syncing::check_overwrite(&source, &args.pod_to_overwrite)?;
    let outcomes = syncing::diff(&source, &options(&args.pod_to_overwrite))?;
    show_all(context, &outcomes, args.json);
    warn_of_missing_plugins(context, &source)?;
    // A sync would be refused now; the comparison is right all the same.
    for refusal in [
        syncing::check_ports(&cluster),
        syncing::check_clean(&cluster),
        cluster.check_ignored(),
    ]
    .into_iter()
    .filter_map(Result::err)
    .chain(syncing::check_chains(&source))
    {
        context
            .ui
            .warning(&format!("a sync would be refused: {refusal}"));
    }
    Ok(())
}
