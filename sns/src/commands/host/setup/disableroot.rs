//! `sns host setup disableroot HOST`.

use clap::Args;
use names::HostName;

use super::{come_in, machine, show};
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::commands::host::shell::super_user;
use crate::remote::Remotes;
use crate::setup::{Question, Root, plan_root_login};

/// Let root log in no more: neither over SSH, nor by a password
///
/// Needs a super user who can log in and become root. The new configuration of the SSH server counts only once sshd
/// accepts it and the super user has come in over a fresh connection; otherwise everything goes back by itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host setup disableroot worker1
  sns host setup disableroot worker1 --dry-run")]
pub(crate) struct DisablerootArgs {
    /// The host
    host: HostName,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Looks, and does what is missing.
pub(crate) fn run(context: &Context<'_>, args: &DisablerootArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = machine(&cluster, &args.host)?;
    let superuser = super_user(&host)?;
    if superuser.user() == Some("root") {
        return Err(CommandError::refused(format!(
            "the super user of host {} is root: nobody could administrate it any more",
            host.name
        ))
        .hint(format!(
            "make another one: `sns host setup superuser {} --force`",
            host.name
        )));
    }
    let remotes = Remotes::new(context.environment)?;
    let connected = remotes.connect_as_super_user(&host, &superuser);
    context.tell_warnings(&remotes);
    let remote = connected?;
    let root = Root::of(&remote)?;
    let plan = plan_root_login(&root.probe(&Question::default())?);
    if !show(context, &host, &plan) || args.dry_run {
        return Ok(());
    }
    root.carry_out(context.ui, &plan, &|| come_in(&remotes, &host, &superuser))?;
    let left = plan_root_login(&root.probe(&Question::default())?);
    if !left.steps.is_empty() {
        return Err(CommandError::new(
            crate::command_error::Kind::Incomplete,
            format!("root can still log in at host {}", host.name),
        )
        .listing(left.steps.into_iter().map(|step| step.what)));
    }
    let _lock = context.lock_if(true)?;
    cluster.log(&format!("SETUP_DISABLEROOT {}", host.name))?;
    context.ui.done(&format!(
        "root does not log in at host {} any more",
        host.name
    ));
    Ok(())
}
