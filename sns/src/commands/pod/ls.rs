//! `sns pod ls`.

use clap::Args;
use names::PodState;
use serde_json::json;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::designation::Designation;
use crate::project::{Cluster, Selected, VersionDefault};

/// List the releases of the project
///
/// Lists all states unless one is named. Hosts that are disabled are left out unless named.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod ls
  sns pod ls web@laptop --state=running
  sns pod ls --json")]
pub(crate) struct LsArgs {
    /// Only this pod, perhaps one version of it, perhaps on one host
    #[arg(value_name = "POD[:VERSION][@HOST]")]
    pod: Option<Designation>,

    /// Only releases that should be in this state: running, stopped, removed or all
    #[arg(short, long, value_parser = state, default_value = "all")]
    state: Wanted,

    /// Without the state: only `pod:version@host`
    #[arg(short, long, visible_alias = "quite")]
    quiet: bool,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// All states or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted(Option<PodState>);

/// Lists them.
pub(crate) fn run(context: &Context<'_>, args: &LsArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    cluster.warn_of_overlooked(context.ui)?;
    let releases = match &args.pod {
        Some(named) => cluster.releases(named, VersionDefault::All)?,
        None => all(&cluster)?,
    };
    let mut rows = Vec::new();
    for release in releases {
        let state = release.state()?;
        if args.state.0.is_none_or(|wanted| wanted == state) {
            rows.push((release, state));
        }
    }
    if args.json {
        let list = rows.iter().map(|(release, state)| {
            json!({ "pod": release.id.pod, "version": release.id.version, "host": release.host.name, "state": state })
        });
        context.ui.json(&list.collect());
        return Ok(());
    }
    for (release, state) in rows {
        context.ui.result(&if args.quiet {
            release.to_string()
        } else {
            format!("{release} {state}")
        });
    }
    Ok(())
}

/// Every release of every host that takes part, host by host.
pub(crate) fn all(cluster: &Cluster<'_>) -> Result<Vec<Selected>, CommandError> {
    let mut releases = Vec::new();
    for host in cluster
        .hosts()?
        .into_iter()
        .filter(|host| !host.is_disabled())
    {
        for id in host.releases()? {
            releases.push(Selected {
                dir: host.dir.release(&id),
                host: host.clone(),
                id,
            });
        }
    }
    Ok(releases)
}

fn state(text: &str) -> Result<Wanted, String> {
    if text == "all" {
        return Ok(Wanted(None));
    }
    text.parse()
        .map(|state| Wanted(Some(state)))
        .map_err(|_| "expected running, stopped, removed or all".to_owned())
}
