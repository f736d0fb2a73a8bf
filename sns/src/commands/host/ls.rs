//! `sns host ls`.

use clap::Args;
use hostfiles::HostState;
use names::PodName;
use serde_json::json;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::suggest::did_you_mean;

/// List the hosts of the project with their states
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host ls
  sns host ls --all --json
  sns host ls --pod=web")]
pub(crate) struct LsArgs {
    /// Disabled hosts too
    #[arg(short, long)]
    all: bool,

    /// Only hosts in this state: active, inactive or disabled
    #[arg(short, long, value_parser = super::state::host_state)]
    state: Option<HostState>,

    /// Only hosts that this pod is attached to
    #[arg(short, long)]
    pod: Option<PodName>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(crate) fn run(context: &Context<'_>, args: &LsArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    cluster.warn_of_overlooked(context.ui)?;
    let mut hosts = cluster.hosts()?;
    hosts.retain(|host| match args.state {
        Some(state) => host.state == state,
        None => args.all || !host.is_disabled(),
    });
    hosts.retain(|host| args.pod.as_ref().is_none_or(|pod| host.has(pod)));
    if let Some(pod) = &args.pod {
        warn_of_unknown(context, pod, &cluster.attached_pods()?);
    }
    if !args.json {
        hosts
            .iter()
            .for_each(|host| context.ui.result(&format!("{} {}", host.name, host.state)));
        return Ok(());
    }
    let mut list = Vec::new();
    for host in &hosts {
        list.push(json!({
            "host": host.name,
            "state": host.state.as_str(),
            "local": host.is_local(),
            "home": host.env.host_home(),
            "routerAddress": host.env.router_address(),
            "pods": host.attached()?,
        }));
    }
    context.ui.json(&list.into());
    Ok(())
}

/// An empty list is a true answer, but perhaps not to what was meant.
fn warn_of_unknown(context: &Context<'_>, pod: &PodName, attached: &[PodName]) {
    if attached.contains(pod) {
        return;
    }
    context
        .ui
        .warning(&format!("pod `{pod}` is not attached to any host"));
    if let Some(hint) = did_you_mean(pod.as_str(), attached.iter().map(PodName::as_str)) {
        context.ui.hint(&hint);
    }
}
