//! `sns plugin ls`.

use clap::Args;
use names::HostName;
use serde_json::json;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::plugins;
use crate::table;

/// List the plugins of each host, the kinds of pod they supply, and whether their files are right
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns plugin ls
  sns plugin ls laptop --json")]
pub(crate) struct LsArgs {
    /// Only this host
    host: Option<HostName>,

    /// As JSON, with the grants
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(crate) fn run(context: &Context<'_>, args: &LsArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let hosts = match &args.host {
        Some(name) => vec![cluster.host(name)?],
        None => cluster.hosts()?,
    };
    let (mut rows, mut list) = (Vec::new(), Vec::new());
    for host in hosts {
        for entry in host.plugins()?.plugins {
            let component = plugins::of_entry(&cluster, &host, &entry);
            let kinds = component
                .as_ref()
                .map(|component| component.kinds().join(" "))
                .unwrap_or_default();
            let state = component
                .as_ref()
                .map_or_else(ToString::to_string, |_| "ok".to_owned());
            list.push(json!({
                "host": host.name, "plugin": entry.name, "version": entry.version, "digest": entry.digest,
                "source": entry.source, "kinds": kinds.split_whitespace().collect::<Vec<_>>(),
                "state": state, "grants": entry.grants,
            }));
            rows.push(vec![
                host.name.to_string(),
                entry.name,
                entry.version,
                kinds,
                entry.digest.chars().take(12).collect(),
                state,
            ]);
        }
    }
    if args.json {
        context.ui.json(&list.into());
    } else {
        let heading = ["HOST", "PLUGIN", "VERSION", "KINDS", "DIGEST", "STATE"];
        table::lines(&heading, &rows)
            .iter()
            .for_each(|line| context.ui.result(line));
    }
    Ok(())
}
