//! What must be so before a sync touches any host.

use names::{PodState, ReleaseId};

use super::Source;
use crate::command_error::CommandError;
use crate::git::Repository;
use crate::ports;
use crate::project::{Cluster, Selected};
use crate::suggest::did_you_mean;

/// Most changes that a refusal lists.
const CHANGES_SHOWN_MAX: usize = 10;

/// Where syncs leave their logs. New ones ignore themselves; a project made by an older `sns` may have
/// committed some.
const SYNC_LOGS: &str = "_synclogs";

/// Refuses ports that two releases would both listen on, disabled hosts included.
pub(crate) fn check_ports(cluster: &Cluster<'_>) -> Result<(), CommandError> {
    let clashes = ports::clashes(&cluster.addresses()?, &cluster.port_uses()?);
    if clashes.is_empty() {
        return Ok(());
    }
    Err(CommandError::mistake("ports clash")
        .listing(clashes)
        .hint("change the port in the pod.yaml (or use ${HOSTPORTAUTO1}), raise podVersion and compile")
        .hint("two versions of a pod with a fixed port cannot both run: remove the one before, `sns pod state POD:VERSION -s removed` (a hard release)")
        .hint("a removed release keeps its ports until `sns pod delete`"))
}

/// Refuses a project with changes that are not committed: nobody could say later what the hosts were given.
pub(crate) fn check_clean(cluster: &Cluster<'_>) -> Result<(), CommandError> {
    let repository = Repository::open(cluster.path())?;
    if repository.head()?.is_none() {
        return Err(CommandError::refused("the project has no commit yet")
            .hint("git add . && git commit -m 'First sync'"));
    }
    let mut changes = repository.changes()?;
    changes.retain(|change| !is_sync_log(change));
    if changes.is_empty() {
        return Ok(());
    }
    let more = changes.len().saturating_sub(CHANGES_SHOWN_MAX);
    changes.truncate(CHANGES_SHOWN_MAX);
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    Err(
        CommandError::refused("the project has changes that are not committed")
            .listing(changes)
            .hint("git add . && git commit"),
    )
}

/// Refuses to overwrite a release that no host has in the project: a slip of the finger would change nothing,
/// in silence.
pub(crate) fn check_overwrite(
    source: &Source,
    overwrite: &[ReleaseId],
) -> Result<(), CommandError> {
    let mut known: Vec<String> = releases(source)?
        .iter()
        .map(|release| release.id.to_string())
        .collect();
    known.sort();
    known.dedup();
    let unknown = overwrite
        .iter()
        .map(ReleaseId::to_string)
        .find(|release| !known.contains(release));
    let Some(unknown) = unknown else {
        return Ok(());
    };
    let list = match known.is_empty() {
        true => "none is compiled; `sns pod compile` does it".to_owned(),
        false => known.join(", "),
    };
    Err(
        CommandError::mistake(format!("there is no release {unknown}; releases: {list}"))
            .hint_if(did_you_mean(&unknown, known.iter().map(String::as_str))),
    )
}

/// Refuses pods that their host could not run: the plugin that compiled them is not on it, or only an older one.
pub(crate) fn check_plugins(source: &Source) -> Result<(), CommandError> {
    let mut missing = Vec::new();
    for release in releases(source)? {
        if release.state()? != PodState::Running {
            continue;
        }
        let Some(pod) = release.compiled()? else {
            continue;
        };
        let plugins = release.host.plugins()?;
        let Some(plugin) = pod.plugin else { continue };
        match plugins.get(&plugin.id) {
            None => missing.push(format!(
                "{release} needs plugin {} (runtime {}), which plugins.yaml of {} does not have",
                plugin.id, pod.runtime, release.host.name
            )),
            Some(entry) if is_older(&entry.version, &plugin.version) => missing.push(format!(
                "{release} was compiled with plugin {} {}, and {} has {} only",
                plugin.id, plugin.version, release.host.name, entry.version
            )),
            Some(_) => {}
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(
        CommandError::mistake("some pods need plugins that their hosts do not have")
            .listing(missing)
            .hint("`sns host init HOST` installs the first-party plugins, `sns plugin install NAME@HOST` others and newer ones"),
    )
}

/// Whether a version is before another one, number by number.
fn is_older(version: &str, than: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        let number = |part: &str| part.parse().unwrap_or(0);
        version.split(['.', '-', '+']).take(3).map(number).collect()
    };
    numbers(version) < numbers(than)
}

/// Every release of the hosts that take part.
fn releases(source: &Source) -> Result<Vec<Selected>, CommandError> {
    let mut releases = Vec::new();
    for target in &source.targets {
        for id in target.host.releases()? {
            releases.push(Selected {
                dir: target.host.dir.release(&id),
                host: target.host.clone(),
                id,
            });
        }
    }
    Ok(releases)
}

fn is_sync_log(change: &str) -> bool {
    let path = change.get(3..).unwrap_or_default();
    path.split('/').next() == Some(SYNC_LOGS)
}
