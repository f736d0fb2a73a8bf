//! `sns cluster …`.

mod create;
mod diff;
mod gc;
pub(crate) mod importconfig;
mod ps;
mod registry;
mod sync;

use clap::Subcommand;

use super::Context;
use crate::command_error::CommandError;

/// The verbs of a cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    Create(create::CreateArgs),
    Sync(sync::SyncArgs),
    Diff(diff::DiffArgs),
    Ps(ps::PsArgs),
    Gc(gc::GcArgs),
    Registry(registry::RegistryArgs),
    #[command(name = "importconfig")]
    ImportConfig(importconfig::ImportConfigArgs),
}

/// Runs one of them.
pub(crate) fn run(context: &Context<'_>, command: &ClusterCommand) -> Result<(), CommandError> {
    let _lock = context.lock_if(changes_project(command))?;
    match command {
        ClusterCommand::Create(args) => create::run(context, args),
        ClusterCommand::Sync(args) => sync::run(context, args),
        ClusterCommand::Diff(args) => diff::run(context, args),
        ClusterCommand::Ps(args) => ps::run(context, args),
        ClusterCommand::Gc(args) => gc::run(context, args),
        ClusterCommand::Registry(args) => registry::run(context, args),
        ClusterCommand::ImportConfig(args) => importconfig::run(context, args),
    }
}

/// A sync counts: while it reads the project and the hosts, nothing may change under it.
fn changes_project(command: &ClusterCommand) -> bool {
    match command {
        ClusterCommand::Sync(_) | ClusterCommand::ImportConfig(_) | ClusterCommand::Registry(_) => {
            true
        }
        // A new project is nobody else's yet.
        ClusterCommand::Create(_)
        | ClusterCommand::Diff(_)
        | ClusterCommand::Ps(_)
        | ClusterCommand::Gc(_) => false,
    }
}
