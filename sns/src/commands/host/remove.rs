//! `sns host remove HOST`.

use std::fs;
use std::path::Path;

use clap::Args;
use names::{HostName, PodState};

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::directories;
use crate::project::{Cluster, Host, Selected};
use crate::remote::{Command, Remotes};

/// Take a host out of the project
///
/// Its directory is hidden, not deleted, so it can be brought back by renaming it. The machine itself is left as it is;
/// --purge-home deletes the home of the host there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host remove worker1
  sns host remove worker1 --purge-home --dry-run")]
pub(crate) struct RemoveArgs {
    /// The host
    host: HostName,

    /// Delete its home on the machine, with all releases, logs and volumes that lie in it
    #[arg(long)]
    purge_home: bool,

    /// Although pods should run there, or other hosts are reached through it
    #[arg(short, long, conflicts_with = "purge_home")]
    force: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Only a directory that is a home of this cluster goes. Arguments: the home, the id of the cluster.
const PURGE: &str = "\
set -eu
[ -e \"$1\" ] || exit 0
if [ \"$(cat \"$1/cluster-id.txt\")\" != \"$2\" ]; then
    echo \"$1 is no home of this cluster\" >&2
    exit 1
fi
exec rm -rf -- \"$1\"";

/// Hides it, after its home was deleted if that was asked for.
pub(crate) fn run(context: &Context<'_>, args: &RemoveArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = cluster.host(&args.host)?;
    let reasons = [running(&host)?, behind(&cluster, &host)?].concat();
    if !reasons.is_empty() && !args.force {
        return Err(CommandError::refused(format!("host {} is still needed", host.name))
            .listing(reasons)
            .hint("set its pods removed with `sns pod state`, then commit and sync; --force removes it as it is"));
    }
    let home = host.env.host_home().to_owned();
    if args.dry_run {
        if args.purge_home {
            context
                .ui
                .result(&format!("would delete {home} on host {}", host.name));
        }
        context
            .ui
            .result(&format!("would take host {} out of the project", host.name));
        return Ok(());
    }
    if args.purge_home {
        purge(context, &cluster, &host)?;
    }
    cluster.log(&format!("REMOVE_HOST {}", host.name))?;
    let hidden = directories::set_aside(host.dir.path(), context.environment.now)?;
    context.ui.done(&format!(
        "host {} is out of the project; kept as {}",
        host.name,
        cluster.shown(&hidden)
    ));
    context
        .ui
        .hint("the others forget it with the next commit and `sns cluster sync`");
    if !args.purge_home {
        context.ui.hint(&format!(
            "its home {home} is left on the machine, and what runs there runs on"
        ));
    }
    if !host.is_local() {
        context.ui.hint(
            "the machine keeps its users, its firewall, simplenetesd.service, and the programs in /usr/local/bin and /usr/lib/simplenetes",
        );
    }
    Ok(())
}

/// Releases that should run there, in words.
fn running(host: &Host) -> Result<Vec<String>, CommandError> {
    let mut reasons = Vec::new();
    for id in host.releases()? {
        let release = Selected {
            dir: host.dir.release(&id),
            host: host.clone(),
            id,
        };
        if release.state()? == PodState::Running {
            reasons.push(format!("{release} should run"));
        }
    }
    Ok(reasons)
}

/// Hosts that are reached through it, in words.
fn behind(cluster: &Cluster<'_>, host: &Host) -> Result<Vec<String>, CommandError> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let own = real(host.dir.path());
    let goes_through = |other: &Host| {
        let jump = other
            .env
            .jump_host()
            .map(|jump| real(&other.dir.path().join(jump)));
        other.name != host.name && jump.is_some_and(|jump| jump.starts_with(&own))
    };
    let others = cluster.hosts()?;
    let behind = others.iter().filter(|other| goes_through(other));
    Ok(behind
        .map(|other| format!("host {} is reached through it (JUMPHOST)", other.name))
        .collect())
}

fn purge(context: &Context<'_>, cluster: &Cluster<'_>, host: &Host) -> Result<(), CommandError> {
    let remotes = Remotes::new(context.environment)?;
    let connected = remotes.connect(host);
    context.tell_warnings(&remotes);
    let home = host.env.host_home();
    let command = Command::new("sh").args(["-c", PURGE, "sns", home, &cluster.id.to_string()]);
    let output = connected?.output(&command, b"")?;
    match output.exit.is_success() {
        true => {
            context
                .ui
                .done(&format!("deleted {home} on host {}", host.name));
            Ok(())
        }
        false => Err(CommandError::new(
            Kind::Files,
            format!(
                "could not delete {home} on host {}: it stays in the project",
                host.name
            ),
        )
        .listing(output.stderr.lines().map(str::to_owned))),
    }
}
