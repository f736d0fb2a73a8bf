//! `sns pod …`.

mod by_hand;
mod compile;
mod delete;
mod info;
mod logs;
pub(crate) mod ls;
mod ps;
mod state;
mod updateconfig;

use clap::Subcommand;

use super::Context;
use crate::command_error::CommandError;

/// The verbs of pods.
#[derive(Debug, Subcommand)]
pub(crate) enum PodCommand {
    Compile(compile::CompileArgs),
    Ls(ls::LsArgs),
    State(state::StateArgs),
    Ps(ps::PsArgs),
    Info(info::InfoArgs),
    Logs(logs::LogsArgs),
    Rerun(by_hand::RerunArgs),
    Signal(by_hand::SignalArgs),
    Purge(by_hand::PurgeArgs),
    Shell(by_hand::ShellArgs),
    Exec(by_hand::ExecArgs),
    #[command(name = "updateconfig")]
    UpdateConfig(updateconfig::UpdateConfigArgs),
    Delete(delete::DeleteArgs),
}

/// Runs one of them.
pub(crate) fn run(context: &Context<'_>, command: &PodCommand) -> Result<(), CommandError> {
    let _lock = context.lock_if(changes_project(command))?;
    match command {
        PodCommand::Compile(args) => compile::run(context, args),
        PodCommand::Ls(args) => ls::run(context, args),
        PodCommand::State(args) => state::run(context, args),
        PodCommand::Ps(args) => ps::run(context, args),
        PodCommand::Info(args) => info::run(context, args),
        PodCommand::Logs(args) => logs::run(context, args),
        PodCommand::Rerun(args) => by_hand::rerun(context, args),
        PodCommand::Signal(args) => by_hand::signal(context, args),
        PodCommand::Purge(args) => by_hand::purge(context, args),
        PodCommand::Shell(args) => by_hand::shell(context, args),
        PodCommand::Exec(args) => by_hand::exec(context, args),
        PodCommand::UpdateConfig(args) => updateconfig::run(context, args),
        PodCommand::Delete(args) => delete::run(context, args),
    }
}

fn changes_project(command: &PodCommand) -> bool {
    match command {
        PodCommand::Compile(args) => args.changes_project(),
        PodCommand::State(args) => args.changes_project(),
        PodCommand::UpdateConfig(_) | PodCommand::Delete(_) => true,
        PodCommand::Ls(_) | PodCommand::Ps(_) | PodCommand::Info(_) | PodCommand::Logs(_) => false,
        // They change what runs, and nothing in the project.
        PodCommand::Rerun(_)
        | PodCommand::Signal(_)
        | PodCommand::Purge(_)
        | PodCommand::Shell(_)
        | PodCommand::Exec(_) => false,
    }
}
