//! `sns secret keygen`.

use clap::Args;

use super::IdentityArgs;
use crate::command_error::CommandError;
use crate::commands::Context;

/// Make your own key, with which secrets can be opened
///
/// The private key stays in a file that only you can read: keep a copy of it in a safe place. The public key
/// is printed, for `sns secret operator add`. A key that is there is left alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns secret keygen
  sns secret keygen --show
  sns secret operator add anna $(sns secret keygen --show)")]
pub(crate) struct KeygenArgs {
    /// Only print the public half of the key that is there
    #[arg(long)]
    show: bool,

    #[command(flatten)]
    identity: IdentityArgs,
}

/// Makes it, or shows its public half.
pub(crate) fn run(context: &Context<'_>, args: &KeygenArgs) -> Result<(), CommandError> {
    let key = args.identity.key(context)?;
    if args.show {
        let recipient = key.read()?.recipient();
        context.ui.result(recipient.as_str());
        return Ok(());
    }
    let recipient = key.generate()?;
    context.ui.result(recipient.as_str());
    context.ui.done(&format!(
        "your key is in {}; keep a copy of it",
        key.path().display()
    ));
    context
        .ui
        .hint("let its public half in, from within a project: sns secret operator add NAME");
    Ok(())
}
