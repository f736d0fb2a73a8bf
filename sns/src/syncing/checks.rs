//! What must be so before a sync touches any host.

use crate::command_error::CommandError;
use crate::git::Repository;
use crate::ports;
use crate::project::Cluster;

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

fn is_sync_log(change: &str) -> bool {
    let path = change.get(3..).unwrap_or_default();
    path.split('/').next() == Some(SYNC_LOGS)
}
