//! `sns secret show POD/CONFIG/FILE`.

use clap::Args;

use super::{IdentityArgs, the_file};
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::secrets::{self, SecretPath};

/// Print a secret, byte for byte
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sns secret show web/keys/db.password")]
pub(crate) struct ShowArgs {
    /// The file, as it lies below _config
    #[arg(value_name = "POD/CONFIG/FILE")]
    name: SecretPath,

    #[command(flatten)]
    identity: IdentityArgs,
}

/// Opens it with the operator's key.
pub(crate) fn run(context: &Context<'_>, args: &ShowArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let file = the_file(&cluster, &args.name)?;
    let key = args.identity.key(context)?;
    let plain = secrets::open(&file, &key.read()?, &key)?;
    context.ui.raw(&plain);
    Ok(())
}
