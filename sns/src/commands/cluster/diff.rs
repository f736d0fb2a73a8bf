//! `sns cluster diff`.

use std::collections::BTreeSet;

use clap::Args;
use names::ReleaseId;
use simplenetes_sync::Options;

use super::sync::show;
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::syncing::{self, HostOutcome, Source};

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
    let source = Source::read(&cluster)?;
    let options = Options {
        overwrite: args
            .pod_to_overwrite
            .iter()
            .cloned()
            .collect::<BTreeSet<_>>(),
    };
    let outcomes = syncing::diff(&source, &options)?;
    if args.json {
        context
            .ui
            .json(&outcomes.iter().map(HostOutcome::json).collect());
    } else {
        outcomes.iter().for_each(|outcome| show(context, outcome));
    }
    // A sync would be refused now; the comparison is right all the same.
    for refusal in [
        syncing::check_ports(&cluster),
        syncing::check_clean(&cluster),
    ]
    .into_iter()
    .filter_map(Result::err)
    {
        context
            .ui
            .warning(&format!("a sync would be refused: {refusal}"));
    }
    Ok(())
}
