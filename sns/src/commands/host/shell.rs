//! `sns host shell HOST`.

use clap::Args;
use hostfiles::HostEnv;
use names::HostName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::project::Host;
use crate::remote::{Command, Remotes};

/// Open a shell on a host, in the directory of its home
///
/// Works over SSH without an ssh program, through the jump hosts of the host; on this machine without SSH. The exit
/// status is the shell's, or that of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host shell worker1
  sns host shell worker1 -- 'ls -l pods | wc -l'
  sns host shell worker1 --super-user -- sudo systemctl restart simplenetesd")]
pub(crate) struct ShellArgs {
    /// The host
    host: HostName,
    /// Log in as the user that may administrate the host (host-superuser.env)
    #[arg(short, long)]
    super_user: bool,
    /// Use bash instead of sh
    #[arg(short, long)]
    bash: bool,
    /// Run these words as a line of the shell instead
    #[arg(last = true)]
    line: Vec<String>,
}

/// Runs it, and ends as it ends.
pub(crate) fn run(context: &Context<'_>, args: &ShellArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = cluster.host(&args.host)?;
    let mut command = Command::new(if args.bash { "bash" } else { "sh" });
    if !args.line.is_empty() {
        command = command.arg("-c").arg(args.line.join(" "));
    }
    let remotes = Remotes::new(context.environment)?;
    let connected = match args.super_user {
        true => remotes.connect_as_super_user(&host, &super_user(&host)?),
        false => remotes.connect(&host),
    };
    context.tell_warnings(&remotes);
    let home = host.env.host_home();
    // A relative one lies below the home of the user, not of the super user.
    if !args.super_user || home.starts_with('/') {
        command = command.in_directory(home);
    }
    let exit = connected?.shell(&command)?;
    match exit.is_success() {
        true => Ok(()),
        false => Err(CommandError::theirs(exit.code())),
    }
}

/// How the user is reached that may administrate a host.
pub(super) fn super_user(host: &Host) -> Result<HostEnv, CommandError> {
    let missing = || CommandError::mistake(format!("host {} has no super user", host.name));
    if host.is_local() {
        return Err(missing().hint("only hosts that are reached by SSH have one"));
    }
    hostfiles::read_if_present(&host.dir.superuser_env())?.ok_or_else(|| {
        missing().hint(format!(
            "`sns host setup superuser {}` makes one; write host-superuser.env beside its host.env if there is one",
            host.name
        ))
    })
}
