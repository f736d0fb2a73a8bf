//! One sync of all hosts: all locks, in the order of host names, then all checks, all plans, all stages; and
//! only when every host has what it needs, the changes. So a refusal or a full disk on one host changes none.

use std::thread;

use hostfiles::{ClusterId, CommitChain};
use simplenetes_sync::chain::relate;
use simplenetes_sync::far::{FarError, Holder, Recovered, Staged, present};
use simplenetes_sync::{Far, Options, Plan, plan};

use super::trial::Trial;
use super::{Became, HostOutcome, Source, Target};
use crate::command_error::{CommandError, Kind};
use crate::project::Cluster;
use crate::ui::Ui;

/// What the operator decided.
pub(crate) struct Request {
    /// Take a project that is behind the hosts or has branched.
    pub(crate) force: bool,
    /// Which compiled pods may be replaced.
    pub(crate) options: Options,
}

/// A host under our lock.
struct Locked<'s> {
    target: &'s Target,
    far: Far,
    plan: Plan,
}

/// What a sync would do; nothing is locked or changed.
pub(crate) fn diff(source: &Source, options: &Options) -> Result<Vec<HostOutcome>, CommandError> {
    let mut outcomes = Vec::new();
    for target in &source.targets {
        if hostfiles::read_if_present::<ClusterId>(&target.home.cluster_id())?.is_none() {
            return Err(no_home(target));
        }
        let present = present(&target.home).map_err(|error| at(target, error.into()))?;
        outcomes.push(HostOutcome {
            host: target.host.name.clone(),
            plan: plan::plan(&target.wanted.tree, &present, options),
            became: Became::Planned,
        });
    }
    Ok(outcomes)
}

/// What a sync would be refused for: hosts that know commits which the project does not have.
pub(crate) fn check_chains(source: &Source) -> Vec<CommandError> {
    let refusal = |target: &Target| {
        let known = hostfiles::read_if_present::<CommitChain>(&target.home.commit_chain())
            .map_err(FarError::UnknownCommits);
        let allowed = known.and_then(|known| {
            let relation = relate(&source.commits, &known.unwrap_or_default());
            Ok(relation.allow(false)?)
        });
        allowed.err().map(|error| at(target, error))
    };
    source.targets.iter().filter_map(refusal).collect()
}

/// Syncs all hosts. An error means that no host was changed; after that each host has its own outcome.
pub(crate) fn sync(
    cluster: &Cluster<'_>,
    source: &Source,
    request: &Request,
    ui: Option<&Ui>,
) -> Result<Vec<HostOutcome>, CommandError> {
    let outcomes = sync_all(cluster, source, request, ui);
    // Refusals say so by their kind. One that was interrupted earlier may have been finished all the same.
    outcomes.map_err(|error| match error.kind() {
        Kind::Files => error.hint("this sync changed nothing on any host"),
        _ => error,
    })
}

fn sync_all(
    cluster: &Cluster<'_>,
    source: &Source,
    request: &Request,
    ui: Option<&Ui>,
) -> Result<Vec<HostOutcome>, CommandError> {
    let mut locked = lock_all(cluster, source, ui)?;
    for host in &locked {
        let checked = host.far.check(&source.commits, request.force);
        checked.map_err(|error| at(host.target, error))?;
    }
    for host in &mut locked {
        let planned = host.far.plan(&host.target.wanted.tree, &request.options);
        host.plan = planned.map_err(|error| at(host.target, error))?;
        if let Some(ui) = ui.filter(|_| !host.plan.is_empty()) {
            ui.note(&format!("syncing host {} …", host.target.host.name));
        }
    }
    change_all(cluster, source, locked)
}

/// Takes every lock, always in the same order, so that two operators never wait for each other.
fn lock_all<'s>(
    cluster: &Cluster<'_>,
    source: &'s Source,
    ui: Option<&Ui>,
) -> Result<Vec<Locked<'s>>, CommandError> {
    let holder = Holder {
        who: cluster.environment.user.clone(),
        pid: std::process::id(),
        since: Some(cluster.environment.now.to_string()),
        why: format!("sync of {}", source.chain.head().unwrap_or("no commit")),
    };
    let mut locked = Vec::new();
    for target in &source.targets {
        let far = Far::open(target.home.clone(), &cluster.id, &holder);
        let far = far.map_err(|error| at(target, error))?;
        if let Some((ui, note)) = ui.zip(recovery_note(target, far.recovered())) {
            ui.note(&note);
        }
        let plan = Plan::default();
        locked.push(Locked { target, far, plan });
    }
    Ok(locked)
}

/// What became of a sync that was interrupted before this one.
fn recovery_note(target: &Target, recovered: &Recovered) -> Option<String> {
    let became = match recovered {
        Recovered::Finished => "finished",
        Recovered::Undone => "undone",
        Recovered::Nothing | Recovered::Busy(_) => return None,
    };
    let name = &target.host.name;
    Some(format!("an interrupted sync of host {name} was {became}"))
}

/// Stages on all hosts at once; when all have succeeded, applies on all hosts at once.
fn change_all(
    cluster: &Cluster<'_>,
    source: &Source,
    mut locked: Vec<Locked<'_>>,
) -> Result<Vec<HostOutcome>, CommandError> {
    let staged = stage_all(source, &mut locked)?;
    let mut trial = Trial::default();
    for (target, _, stage) in &staged {
        trial.of(cluster.environment, target, stage)?;
    }
    Ok(thread::scope(|scope| {
        let threads: Vec<_> = staged
            .into_iter()
            .map(|(target, plan, stage)| (target, plan, scope.spawn(move || stage.apply())))
            .collect();
        let outcomes = threads.into_iter().map(|(target, plan, thread)| {
            let applied = thread.join().map_err(|_| thread_died(target));
            outcome(target, plan, applied)
        });
        outcomes.collect()
    }))
}

/// A host, what will change on it, and everything for that, staged.
type StagedHost<'l> = (&'l Target, &'l Plan, Staged<'l>);

/// When one host cannot take what is sent, what the others have staged is thrown away.
fn stage_all<'l>(
    source: &Source,
    locked: &'l mut [Locked<'_>],
) -> Result<Vec<StagedHost<'l>>, CommandError> {
    thread::scope(|scope| {
        let threads: Vec<_> = locked
            .iter_mut()
            .map(|Locked { target, far, plan }| {
                let (target, plan): (&'l Target, &'l Plan) = (target, plan);
                let thread = scope.spawn(move || far.stage(plan, &target.wanted, &source.chain));
                (target, plan, thread)
            })
            .collect();
        let mut staged = Vec::new();
        for (target, plan, thread) in threads {
            let stage = thread.join().map_err(|_| thread_died(target))?;
            staged.push((target, plan, stage.map_err(|error| at(target, error))?));
        }
        Ok(staged)
    })
}

/// A thread that died may have left anything, so it counts as unfinished.
fn outcome(
    target: &Target,
    plan: &Plan,
    applied: Result<Result<(), FarError>, CommandError>,
) -> HostOutcome {
    let became = match applied {
        Ok(applied) => Became::of(plan, applied, |error| at(target, error)),
        Err(died) => Became::Unfinished(died),
    };
    HostOutcome {
        host: target.host.name.clone(),
        plan: plan.clone(),
        became,
    }
}

fn at(target: &Target, error: FarError) -> CommandError {
    if matches!(error, FarError::NoHostHome(_)) {
        return no_home(target);
    }
    CommandError::from(error).on(&format!("host {}", target.host.name))
}

fn no_home(target: &Target) -> CommandError {
    let name = &target.host.name;
    let home = target.home.path().display();
    CommandError::mistake(format!(
        "host {name} is not ready: {home} has no cluster-id.txt"
    ))
    .hint(format!("prepare it with `sns host init {name}`"))
}

fn thread_died(target: &Target) -> CommandError {
    let name = &target.host.name;
    CommandError::new(Kind::Internal, format!("the sync of host {name} died"))
}
