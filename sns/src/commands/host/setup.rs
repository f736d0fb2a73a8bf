//! `sns host setup …`: what has to be done once with the machine of a host. How stands in `crate::setup`.

mod disableroot;
mod install;
mod superuser;

use std::time::Duration;

use clap::Subcommand;
use hostfiles::HostEnv;
use names::HostName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::project::{Cluster, Host};
use crate::remote::Remotes;
use crate::setup::{Plan, Root};

/// So long may a server need to listen again. Shorter than a host waits before it takes a change back.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);
const TRY_EVERY: Duration = Duration::from_millis(100);

/// The verbs of machines.
#[derive(Debug, Subcommand)]
pub(crate) enum SetupCommand {
    Superuser(superuser::SuperuserArgs),
    Disableroot(disableroot::DisablerootArgs),
    Install(install::InstallArgs),
}

/// Runs one of them.
pub(crate) fn run(context: &Context<'_>, command: &SetupCommand) -> Result<(), CommandError> {
    match command {
        SetupCommand::Superuser(args) => superuser::run(context, args),
        SetupCommand::Disableroot(args) => disableroot::run(context, args),
        SetupCommand::Install(args) => install::run(context, args),
    }
}

/// A host that is another machine.
fn machine(cluster: &Cluster<'_>, name: &HostName) -> Result<Host, CommandError> {
    let host = cluster.host(name)?;
    match host.is_local() {
        false => Ok(host),
        true => Err(CommandError::mistake(format!(
            "host {name} is this machine, which nobody sets up over SSH"
        ))
        .hint("start `simplenetesd` for its home, or install the unit that `simplenetesd systemd-unit` prints")),
    }
}

/// Shows what is going to be done. False when that is nothing.
fn show(context: &Context<'_>, host: &Host, plan: &Plan) -> bool {
    for line in plan.lines() {
        context.ui.result(&line);
    }
    for note in &plan.notes {
        context.ui.note(note);
    }
    if plan.steps.is_empty() {
        context
            .ui
            .done(&format!("host {}: nothing to do", host.name));
    }
    !plan.steps.is_empty()
}

/// Logs in as the super user over a fresh connection, and becomes root.
fn come_in(remotes: &Remotes, host: &Host, superuser: &HostEnv) -> Result<(), CommandError> {
    let mut waited = Duration::ZERO;
    let remote = loop {
        remotes.forget_connections();
        match remotes.connect_as_super_user(host, superuser) {
            // The server has just been told to read its configuration, and does not listen for a moment.
            Err(error) if error.is_refused() && waited < RELOAD_LIMIT => {
                std::thread::sleep(TRY_EVERY);
                waited += TRY_EVERY;
            }
            connected => break connected?,
        }
    };
    Root::of(&remote).map(drop)
}
