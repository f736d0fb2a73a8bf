//! `sns translate`: the process in which `sns` itself has a plugin translated.

use std::io;

use simplenetes_plugin::{HelperLimits, translate};

use crate::command_error::{CommandError, Kind};

/// Translates a plugin from standard input to standard output; started by sns only
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct TranslateArgs {
    /// Its limits
    #[arg(num_args = 0..)]
    limits: Vec<u64>,
}

pub(crate) fn run(args: &TranslateArgs) -> Result<(), CommandError> {
    let limits = HelperLimits::parse(&args.limits);
    translate(limits, io::stdin().lock(), io::stdout().lock())
        .map_err(|error| CommandError::new(Kind::Mistake, error.to_string()))
}
