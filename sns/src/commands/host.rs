//! `sns host …`.

mod attach;
mod detach;
mod init;
mod logs;
mod ls;
mod program;
mod register;
mod rekey;
mod remove;
mod setup;
mod shell;
mod state;
mod trust;

use clap::Subcommand;

use super::Context;
use crate::command_error::CommandError;

/// The verbs of hosts.
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    Register(Box<register::RegisterArgs>),
    /// Prepare the machine of a host: its users, packages, firewall and programs
    #[command(subcommand)]
    Setup(setup::SetupCommand),
    Init(init::InitArgs),
    Rekey(rekey::RekeyArgs),
    Ls(ls::LsArgs),
    Program(program::ProgramArgs),
    Attach(attach::AttachArgs),
    Detach(detach::DetachArgs),
    State(state::StateArgs),
    Trust(trust::TrustArgs),
    Shell(shell::ShellArgs),
    Logs(logs::LogsArgs),
    Remove(remove::RemoveArgs),
}

/// Runs one of them.
pub(crate) fn run(context: &Context<'_>, command: &HostCommand) -> Result<(), CommandError> {
    let _lock = context.lock_if(changes_project(command))?;
    match command {
        HostCommand::Register(args) => register::run(context, args),
        HostCommand::Setup(command) => setup::run(context, command),
        HostCommand::Init(args) => init::run(context, args),
        HostCommand::Rekey(args) => rekey::run(context, args),
        HostCommand::Ls(args) => ls::run(context, args),
        HostCommand::Program(args) => program::run(context, args),
        HostCommand::Attach(args) => attach::run(context, args),
        HostCommand::Detach(args) => detach::run(context, args),
        HostCommand::State(args) => state::run(context, args),
        HostCommand::Trust(args) => trust::run(context, args),
        HostCommand::Shell(args) => shell::run(context, args),
        HostCommand::Logs(args) => logs::run(context, args),
        HostCommand::Remove(args) => remove::run(context, args),
    }
}

fn changes_project(command: &HostCommand) -> bool {
    match command {
        // A setup takes minutes: it locks the project only while it writes there.
        HostCommand::Ls(_)
        | HostCommand::Shell(_)
        | HostCommand::Logs(_)
        | HostCommand::Setup(_) => false,
        HostCommand::State(args) => args.changes_project(),
        HostCommand::Register(_)
        | HostCommand::Init(_)
        | HostCommand::Rekey(_)
        | HostCommand::Attach(_)
        | HostCommand::Trust(_)
        | HostCommand::Program(_)
        | HostCommand::Remove(_)
        | HostCommand::Detach(_) => true,
    }
}
