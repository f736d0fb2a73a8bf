//! `sns secret check [PODS…]`.

use clap::Args;
use names::PodName;

use super::ls::findings;
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::secrets::State;

/// Fail if a secret is in plain text, or not encrypted to exactly those who need it
///
/// For hooks and CI: no key is needed. `sns pod compile` refuses what a host could not open.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sns secret check && git commit")]
pub(crate) struct CheckArgs {
    /// The pods; default: all
    #[arg(value_name = "POD")]
    pods: Vec<PodName>,
}

/// Lists what is wrong.
pub(crate) fn run(context: &Context<'_>, args: &CheckArgs) -> Result<(), CommandError> {
    let found = findings(context, &args.pods)?;
    let wrong: Vec<String> = found
        .iter()
        .filter(|finding| finding.state != State::Good)
        .map(|finding| format!("{}: {}", finding.name, finding.state))
        .collect();
    if wrong.is_empty() {
        context.ui.done(&format!(
            "{} secrets are encrypted to those who need them",
            found.len()
        ));
        return Ok(());
    }
    Err(CommandError::mistake("secrets are not as they should be")
        .listing(wrong)
        .hint("put them right with `sns secret encrypt`"))
}
