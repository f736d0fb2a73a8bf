//! `sns plugin …`.

pub(crate) mod install;
mod ls;

use clap::Subcommand;

use super::Context;
use crate::command_error::CommandError;

/// The verbs of plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    Install(install::InstallArgs),
    Ls(ls::LsArgs),
}

/// Runs one of them.
pub(crate) fn run(context: &Context<'_>, command: &PluginCommand) -> Result<(), CommandError> {
    let _lock = context.lock_if(matches!(command, PluginCommand::Install(_)))?;
    match command {
        PluginCommand::Install(args) => install::run(context, args),
        PluginCommand::Ls(args) => ls::run(context, args),
    }
}
