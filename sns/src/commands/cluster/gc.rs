//! `sns cluster gc`.

use clap::Args;
use hostfiles::{Collection, read_if_present};
use names::ReleaseId;
use serde_json::json;
use simplenetes_sync::far::Holder;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::project::{Cluster, Host};
use crate::remote::Remotes;
use crate::syncing::{Failure, Only, OnlyTarget, Receiver, at_once};
use crate::ui::Ui;

/// Remove from the hosts what is left of old releases
///
/// Of each pod the newest two releases that were removed stay, for a way back; gc.env of the project says another number
/// (KEEP_REMOVED=2), and whether every sync that succeeded does this too (AUTO=yes). The directories of the others go, with
/// their logs. Volumes are never touched: `sns pod purge` removes those of a pod.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns cluster gc --dry-run
  sns cluster gc --keep=0 --only=worker1")]
pub(crate) struct GcArgs {
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,

    /// Keep so many removed releases of each pod, whatever gc.env says
    #[arg(long, value_name = "NUMBER")]
    keep: Option<u32>,

    /// Only this host; may be repeated
    #[arg(long, value_name = "HOST")]
    only: Vec<OnlyTarget>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What went from one host.
type Collected = (Host, Result<Vec<ReleaseId>, Failure>);

/// Asks every host.
pub(crate) fn run(context: &Context<'_>, args: &GcArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let keep = args.keep.unwrap_or(policy(&cluster)?.keep_removed);
    let only = Only::of(&args.only);
    let hosts = cluster.hosts()?;
    only.check(&hosts)?;
    let takes_part = |host: &Host| !host.is_disabled() && only.has(&host.name);
    let hosts = hosts.into_iter().filter(takes_part).collect();
    let remotes = Remotes::new(context.environment)?;
    let collected = collect(&cluster, &remotes, hosts, keep, args.dry_run);
    context.tell_warnings(&remotes);
    if args.json {
        let list = collected.iter().filter_map(|(host, releases)| {
            let releases = releases.as_ref().ok()?;
            Some(json!({ "host": host.name, "releases": releases }))
        });
        context.ui.json(&list.collect());
    }
    tell(context.ui, collected, args.dry_run, args.json)
}

/// What the project says about garbage.
pub(super) fn policy(cluster: &Cluster<'_>) -> Result<Collection, CommandError> {
    Ok(read_if_present(&cluster.files.collection())?.unwrap_or_default())
}

/// Collects on hosts, all at the same time.
pub(super) fn collect(
    cluster: &Cluster<'_>,
    remotes: &Remotes,
    hosts: Vec<Host>,
    keep: u32,
    dry_run: bool,
) -> Vec<Collected> {
    let (environment, id) = (cluster.environment, &cluster.id);
    let holder = Holder {
        who: environment.user.clone(),
        pid: std::process::id(),
        since: Some(environment.now.to_string()),
        why: "collecting garbage".to_owned(),
    };
    at_once(hosts, &|host: Host| {
        let receiver = Receiver::open(remotes, environment, &host);
        let collected = receiver
            .and_then(|receiver| receiver.ask(|link| link.collect(id, &holder, keep, dry_run)));
        (host, collected)
    })
}

/// Says what went, and which hosts could not be asked.
pub(super) fn tell(
    ui: &Ui,
    collected: Vec<Collected>,
    dry_run: bool,
    is_json: bool,
) -> Result<(), CommandError> {
    let mark = if dry_run { "would remove" } else { "removed" };
    let mut failed = Vec::new();
    for (host, releases) in collected {
        match releases {
            Ok(releases) => {
                for release in releases.iter().filter(|_| !is_json) {
                    ui.result(&format!("{}: {mark} {release}", host.name));
                }
            }
            Err(failure) => {
                ui.failure(&failure.into_error());
                failed.push(host.name.to_string());
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(CommandError::new(
            Kind::Incomplete,
            format!("nothing was collected on {}", failed.join(", ")),
        )),
    }
}
