//! `sns host logs HOST`.

use clap::Args;
use hostfiles::HostEnv;
use names::HostName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::project::Host;
use crate::remote::{Command, Exit, Remote, Remotes};

/// What shows the journal.
const JOURNAL: &str = "journalctl";

/// The daemon's unit of systemd.
const UNIT: &str = "simplenetesd";

/// Show what the daemon of a host has said: its journal
///
/// Asks as the super user where the host has one (host-superuser.env), because not every user may read the journal of
/// a service. Otherwise as the user of the host, who sees at least the daemon that is a service of his own. What pods
/// have written is shown by `sns pod logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host logs worker1
  sns host logs worker1 --follow --limit=50")]
pub(crate) struct LogsArgs {
    /// The host
    host: HostName,

    /// Go on with what is said from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,

    /// Only the last N lines
    #[arg(short, long, value_name = "N")]
    limit: Option<u32>,
}

/// Shows it.
pub(crate) fn run(context: &Context<'_>, args: &LogsArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = cluster.host(&args.host)?;
    let super_user = super_user(&host)?;
    let remotes = Remotes::new(context.environment)?;
    let connected = match &super_user {
        Some(env) => remotes.connect_as_super_user(&host, env),
        None => remotes.connect(&host),
    };
    context.tell_warnings(&remotes);
    let remote = connected?;
    let exit = remote.shell(&command(args, super_user.as_ref()))?;
    if exit.is_success() {
        return Ok(());
    }
    if matches!(exit, Exit::Code(1 | 127)) && !has_journal(&remote)? {
        return Err(CommandError::mistake(format!(
            "host {} has no journalctl, so nobody keeps what its daemon says",
            host.name
        ))
        .hint("without systemd the daemon writes to the standard error that it was started with"));
    }
    Err(CommandError::theirs(exit.code()))
}

/// A `sudo` that does not find the program ends as if it had failed.
fn has_journal(remote: &Remote) -> Result<bool, CommandError> {
    let version = Command::new(JOURNAL).arg("--version");
    Ok(!remote.output(&version, b"")?.exit.is_not_found())
}

fn super_user(host: &Host) -> Result<Option<HostEnv>, CommandError> {
    match host.is_local() {
        true => Ok(None),
        false => Ok(hostfiles::read_if_present(&host.dir.superuser_env())?),
    }
}

fn command(args: &LogsArgs, super_user: Option<&HostEnv>) -> Command {
    // Super users that are not root become it without a password; one that may not is told so and not asked.
    let command = match super_user {
        Some(env) if env.user() != Some("root") => Command::new("sudo").args(["-n", JOURNAL]),
        _ => Command::new(JOURNAL),
    };
    let command = command.args(["--no-pager", "-u", UNIT]);
    // The user's own daemon or that of root, whichever there is.
    let own = ["--user-unit", UNIT]
        .into_iter()
        .filter(|_| super_user.is_none());
    let command = command.args(own).args(args.follow.then_some("-f"));
    match args.limit {
        Some(limit) => command.arg("-n").arg(limit.to_string()),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use hostfiles::Format as _;

    use super::*;

    #[test]
    fn who_asks_and_how() {
        let check = |super_user: Option<&str>, follow, limit, expected: &str| {
            let args = LogsArgs {
                host: "one".parse().unwrap(),
                follow,
                limit,
            };
            let env = super_user.map(|name| HostEnv::parse(&format!("USER={name}\n")).unwrap());
            let mut words = expected.split(' ');
            let expected = Command::new(words.next().unwrap()).args(words);
            assert_eq!(command(&args, env.as_ref()), expected);
        };
        check(
            None,
            false,
            None,
            "journalctl --no-pager -u simplenetesd --user-unit simplenetesd",
        );
        check(
            Some("root"),
            true,
            Some(20),
            "journalctl --no-pager -u simplenetesd -f -n 20",
        );
        check(
            Some("admin"),
            false,
            None,
            "sudo -n journalctl --no-pager -u simplenetesd",
        );
    }
}
