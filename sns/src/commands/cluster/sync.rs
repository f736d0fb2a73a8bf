//! `sns cluster sync`.

use clap::Args;
use names::ReleaseId;
use simplenetes_sync::Options;

use super::gc;
use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::project::Cluster;
use crate::remote::Remotes;
use crate::syncing::{
    self, Became, HostOutcome, Only, OnlyTarget, Request, Session, Source, SyncLog,
};

/// Make the hosts equal to the project
///
/// Refused while the project has uncommitted changes, ports clash, a plugin is missing, or a host knows commits that
/// the project does not have. All hosts are asked, locked and given what they need before the first one changes. Each
/// host ends at the old commit or at the new one; one that the disk fails under half-way is told as unfinished, and its
/// daemon takes nothing new until that sync is finished. A host that is out of reach is left behind, the others go on.
///
/// A remote host that has changed waits to be confirmed over a fresh connection, for a minute or as --confirm-within says;
/// unless it is, it goes back by itself. Leaves the project clean; the log lies in _synclogs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  git add . && git commit -m 'First sync' && sns cluster sync
  sns cluster sync --only worker1 --only worker2/web
  sns cluster sync --confirm-within=600      # hosts whose network takes long to come back
  sns cluster sync --pod-to-overwrite=web:1.0.0
  git checkout HEAD~1 && sns cluster sync --force")]
pub(crate) struct SyncArgs {
    /// Sync even if the project is behind the hosts or has branched: what it lacks is taken back
    #[arg(short, long)]
    force: bool,

    /// Print results only
    #[arg(short, long, visible_alias = "quite")]
    quiet: bool,

    /// Replace the compiled pod of a version that the hosts have already; may be repeated
    #[arg(long, value_name = "POD:VERSION")]
    pod_to_overwrite: Vec<ReleaseId>,

    /// Only this host, or only this pod on it; may be repeated. A host of which only some pods are synced counts as
    /// being at the commit before
    #[arg(long, value_name = "HOST[/POD]")]
    only: Vec<OnlyTarget>,

    /// Hosts keep what they get although nobody has shown that they can still be reached
    #[arg(long)]
    no_confirm: bool,

    /// How long a remote host waits to be confirmed before it goes back by itself
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = syncing::CONFIRM_WITHIN_SECONDS,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(syncing::CONFIRM_WITHIN_SECONDS_MAX)),
        conflicts_with = "no_confirm"
    )]
    confirm_within: u32,

    /// Exit with 10 when something was changed, 0 when there was nothing to do
    #[arg(long)]
    exit_code: bool,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Checks, syncs, writes the log, tells the truth about each host.
pub(crate) fn run(context: &Context<'_>, args: &SyncArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    cluster.warn_of_overlooked(context.ui)?;
    syncing::check_ports(&cluster)?;
    let source = Source::read(&cluster, Only::of(&args.only))?;
    syncing::check_clean(&cluster)?;
    cluster.check_ignored()?;
    syncing::check_overwrite(&source, &args.pod_to_overwrite)?;
    syncing::check_plugins(&source)?;
    let source = match args.no_confirm {
        true => source,
        false => source.confirmed(args.confirm_within)?,
    };
    let remotes = Remotes::new(context.environment)?;
    let request = Request {
        force: args.force,
        options: options(&args.pod_to_overwrite),
    };
    let session = Session {
        cluster: &cluster,
        remotes: &remotes,
        source: &source,
        ui: (!args.quiet).then_some(context.ui),
    };
    let log = SyncLog::begin(&cluster, source.chain.head().unwrap_or_default())?;
    let synced = session.sync(&request);
    context.tell_warnings(&remotes);
    let outcomes = match synced {
        Ok(outcomes) => outcomes,
        Err(refused) => {
            log.discard();
            return Err(refused);
        }
    };
    let log = log.finish(&outcomes);
    show_all(context, &outcomes, args.json);
    let log = log?;
    if !args.quiet {
        context.ui.note(&format!("log: {}", cluster.shown(&log)));
    }
    summary(&outcomes)?;
    collect(context, &cluster, &remotes, &source)?;
    exit_code(&outcomes, args.exit_code)
}

/// Collects garbage after a sync that every host has confirmed, if the project wants it.
fn collect(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    remotes: &Remotes,
    source: &Source,
) -> Result<(), CommandError> {
    let policy = gc::policy(cluster)?;
    if !policy.auto {
        return Ok(());
    }
    let hosts = source.targets.iter().map(|target| target.host.clone());
    let collected = gc::collect(
        cluster,
        remotes,
        hosts.collect(),
        policy.keep_removed,
        false,
    );
    for (host, releases) in collected {
        match releases {
            Ok(releases) => releases.iter().for_each(|release| {
                context.ui.note(&format!(
                    "host {}: removed what was left of {release}",
                    host.name
                ));
            }),
            // What could not be collected now is collected after the next sync.
            Err(failure) => context.ui.warning(&failure.into_error().to_string()),
        }
    }
    Ok(())
}

/// Tells a pipeline that asks for it whether there was anything to do.
pub(super) fn exit_code(outcomes: &[HostOutcome], is_asked: bool) -> Result<(), CommandError> {
    match is_asked && outcomes.iter().any(HostOutcome::is_change) {
        true => Err(CommandError::changes()),
        false => Ok(()),
    }
}

/// What may be replaced although the hosts have it already.
pub(super) fn options(overwrite: &[ReleaseId]) -> Options {
    Options {
        overwrite: overwrite.iter().cloned().collect(),
        pods: None,
    }
}

/// What became of every host, for people or for programs.
pub(super) fn show_all(context: &Context<'_>, outcomes: &[HostOutcome], json: bool) {
    if json {
        context
            .ui
            .json(&outcomes.iter().map(HostOutcome::json).collect());
    } else {
        outcomes.iter().for_each(|outcome| show(context, outcome));
    }
}

/// One line per host, its changes below it.
fn show(context: &Context<'_>, outcome: &HostOutcome) {
    let lines = syncing::change_lines(outcome);
    let count = match lines.len() {
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    };
    match &outcome.became {
        Became::Unchanged => context
            .ui
            .result(&format!("{}: nothing to do", outcome.host)),
        Became::Planned if lines.is_empty() => context
            .ui
            .result(&format!("{}: nothing to do", outcome.host)),
        Became::Planned => context
            .ui
            .result(&format!("{}: {count} to make", outcome.host)),
        Became::Updated => context
            .ui
            .result(&format!("{}: {count} made", outcome.host)),
        Became::Failed(error)
        | Became::Unfinished(error)
        | Became::WentBack(error)
        | Became::Unknown(error) => {
            context
                .ui
                .result(&format!("{}: {}", outcome.host, outcome.word()));
            context.ui.failure(error);
            return;
        }
    }
    let effects = outcome.effects.iter().map(|effect| format!("→ {effect}"));
    lines
        .iter()
        .cloned()
        .chain(effects)
        .for_each(|line| context.ui.result(&format!("  {line}")));
    for release in &outcome.plan.held_back {
        context.ui.warning(&format!(
            "the compiled {release} differs from the one on host {} and was not sent",
            outcome.host
        ));
        context.ui.hint(&format!(
            "raise its podVersion, or name it: --pod-to-overwrite={release}"
        ));
    }
}

fn summary(outcomes: &[HostOutcome]) -> Result<(), CommandError> {
    let incomplete: Vec<&HostOutcome> = outcomes
        .iter()
        .filter(|outcome| !outcome.is_complete())
        .collect();
    if incomplete.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = incomplete
        .iter()
        .map(|outcome| outcome.host.as_str())
        .collect();
    let have = if outcomes.len() == 1 {
        "host has"
    } else {
        "hosts have"
    };
    let message = format!(
        "{} of {} {have} not all that the project wants: {}",
        incomplete.len(),
        outcomes.len(),
        names.join(", ")
    );
    let is_mixed = incomplete.iter().any(|outcome| outcome.is_mixed());
    let kind = match is_mixed {
        true => Kind::Mixed,
        false => Kind::Incomplete,
    };
    let error = CommandError::new(kind, message);
    let has_failed = incomplete.iter().any(|outcome| outcome.failure().is_some());
    Err(match has_failed {
        true => error.hint("correct the cause and sync again: what is done is not done twice"),
        false => error,
    })
}
