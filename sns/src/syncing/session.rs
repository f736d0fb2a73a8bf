//! One sync of all hosts: all locks, in the order of host names, then all checks, all plans, all stages; and
//! only when every host has what it needs, the changes. So a refusal or a full disk on one host changes none.

use std::thread;

use simplenetes_sync::far::{Holder, present};
use simplenetes_sync::{Far, Options, Plan, plan};

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
    cluster_ports: bool,
}

/// What a sync would do; nothing is locked or changed.
pub(crate) fn diff(source: &Source, options: &Options) -> Result<Vec<HostOutcome>, CommandError> {
    let mut outcomes = Vec::new();
    for target in &source.targets {
        if !target.home.cluster_id().exists() {
            return Err(no_home(target));
        }
        let present = present(&target.home).map_err(|error| at(target, error.into()))?;
        outcomes.push(HostOutcome {
            host: target.host.name.clone(),
            plan: plan::plan(&target.wanted.tree, &present, options),
            cluster_ports: !source.cluster_ports.are_on(&target.home),
            became: Became::Planned,
        });
    }
    Ok(outcomes)
}

/// Syncs all hosts. An error means that no host was changed; after that each host has its own outcome.
pub(crate) fn sync(
    cluster: &Cluster<'_>,
    source: &Source,
    request: &Request,
    ui: Option<&Ui>,
) -> Result<Vec<HostOutcome>, CommandError> {
    let mut locked = lock_all(cluster, source)?;
    check_all(cluster, source, request, &locked)?;
    for host in &mut locked {
        host.plan = host
            .far
            .plan(&host.target.wanted.tree, &request.options)
            .map_err(|error| at(host.target, error))?;
        host.cluster_ports = !source.cluster_ports.are_on(&host.target.home);
        let changes = host.plan.steps.len() + usize::from(host.cluster_ports);
        if let Some(ui) = ui.filter(|_| changes > 0) {
            ui.note(&format!("syncing host {} …", host.target.host.name));
        }
    }
    change_all(source, locked)
}

/// Takes every lock, always in the same order, so that two operators never wait for each other.
fn lock_all<'s>(
    cluster: &Cluster<'_>,
    source: &'s Source,
) -> Result<Vec<Locked<'s>>, CommandError> {
    let holder = Holder {
        who: cluster.environment.user.clone(),
        pid: std::process::id(),
        since: cluster.environment.now.as_second().try_into().ok(),
        why: format!("sync of {}", source.chain.head().unwrap_or("no commit")),
    };
    let mut locked = Vec::new();
    for target in &source.targets {
        if !target.home.cluster_id().exists() {
            return Err(no_home(target));
        }
        let far = Far::open(target.home.clone(), &holder).map_err(|error| at(target, error))?;
        locked.push(Locked {
            target,
            far,
            plan: Plan::default(),
            cluster_ports: false,
        });
    }
    Ok(locked)
}

/// Every host must belong to this cluster and must not know more than the project does.
fn check_all(
    cluster: &Cluster<'_>,
    source: &Source,
    request: &Request,
    locked: &[Locked<'_>],
) -> Result<(), CommandError> {
    for host in locked {
        host.far
            .check(&cluster.id, source.chain.hashes(), request.force)
            .map_err(|error| at(host.target, error))?;
    }
    Ok(())
}

/// Stages on all hosts at once; when all have succeeded, applies on all hosts at once.
fn change_all(
    source: &Source,
    mut locked: Vec<Locked<'_>>,
) -> Result<Vec<HostOutcome>, CommandError> {
    thread::scope(|scope| {
        let staging: Vec<_> = locked
            .iter_mut()
            .map(|host| {
                let Locked {
                    target,
                    far,
                    plan,
                    cluster_ports,
                } = host;
                let (target, plan, cluster_ports): (&Target, &Plan, bool) =
                    (target, plan, *cluster_ports);
                let thread = scope.spawn(move || far.stage(plan, &target.wanted, &source.chain));
                (target, plan, cluster_ports, thread)
            })
            .collect();
        let mut staged = Vec::new();
        for (target, plan, cluster_ports, thread) in staging {
            let stage = thread.join().map_err(|_| thread_died(target))?;
            staged.push((
                target,
                plan,
                cluster_ports,
                stage.map_err(|error| at(target, error))?,
            ));
        }
        let applying: Vec<_> = staged
            .into_iter()
            .map(|(target, plan, cluster_ports, stage)| {
                let thread = scope.spawn(move || {
                    stage.apply().map_err(|error| at(target, error))?;
                    // Still under the lock: it follows from the releases that have just arrived.
                    source.cluster_ports.write_to(&target.home)
                });
                (target, plan, cluster_ports, thread)
            })
            .collect();
        Ok(applying
            .into_iter()
            .map(|(target, plan, cluster_ports, thread)| {
                let result = thread.join().unwrap_or_else(|_| Err(thread_died(target)));
                outcome(target, plan, cluster_ports, result)
            })
            .collect())
    })
}

fn outcome(
    target: &Target,
    plan: &Plan,
    cluster_ports: bool,
    result: Result<(), CommandError>,
) -> HostOutcome {
    let became = match result {
        Ok(()) if plan.is_empty() && !cluster_ports => Became::Unchanged,
        Ok(()) => Became::Updated,
        Err(error) => Became::Failed(error),
    };
    HostOutcome {
        host: target.host.name.clone(),
        plan: plan.clone(),
        cluster_ports,
        became,
    }
}

fn at(target: &Target, error: simplenetes_sync::far::FarError) -> CommandError {
    CommandError::from(error).on(&format!("host {}", target.host.name))
}

fn no_home(target: &Target) -> CommandError {
    let name = &target.host.name;
    CommandError::mistake(format!(
        "host {name} is not ready: {} has no cluster-id.txt",
        target.home.path().display()
    ))
    .hint(format!("prepare it with `sns host init {name}`"))
}

fn thread_died(target: &Target) -> CommandError {
    CommandError::new(
        Kind::Internal,
        format!("the sync of host {} died", target.host.name),
    )
}
