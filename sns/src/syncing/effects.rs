//! What the changes of a sync do to pods that go on, in words: which restart or reload, and why. That a pod starts or
//! stops stands in the plan itself.
//!
//! Says what the daemon does when it sees the new files; must not know how it does it.

use names::{PodState, ReleaseId, VolumeName};
use podspec::{CompiledPod, Unit};
use simplenetes_sync::{Plan, Step};

use crate::command_error::CommandError;
use crate::project::{Host, Selected};

/// One line for every pod that notices something, in the order of the plan.
pub(super) fn of(plan: &Plan, host: &Host) -> Result<Vec<String>, CommandError> {
    let mut lines = Vec::new();
    for step in &plan.steps {
        match step {
            Step::Pod { release } if !is_new(plan, release) => lines.push(format!(
                "{release} has another compiled pod: what runs stays as it is until `sns pod rerun {release}@{}`",
                host.name
            )),
            Step::Config { release, name } if !is_new(plan, release) => {
                let selected = Selected {
                    dir: host.dir.release(release),
                    host: host.clone(),
                    id: release.clone(),
                };
                let runs = selected.state()? == PodState::Running;
                if let Some(pod) = selected.compiled()?.filter(|_| runs) {
                    lines.extend(config(release, name, &pod));
                }
            }
            _ => {}
        }
    }
    Ok(lines)
}

/// A pod that starts anyway sees its configs as they are then.
fn is_new(plan: &Plan, release: &ReleaseId) -> bool {
    plan.steps.iter().any(|step| match step {
        Step::Add { release: added, .. } => added == release,
        Step::State {
            release: id, to, ..
        } => id == release && *to == PodState::Running,
        _ => false,
    })
}

fn config(release: &ReleaseId, name: &VolumeName, pod: &CompiledPod) -> Vec<String> {
    let mounts = |unit: &&Unit| unit.mounts.iter().any(|mount| mount.volume == *name);
    let line = |unit: &Unit| {
        let verb = match unit.signal {
            Some(_) => "is signalled",
            None => "restarts, because it has no `signal`",
        };
        format!("{release} unit {} {verb}: config {name} changes", unit.name)
    };
    pod.units.iter().filter(mounts).map(line).collect()
}
