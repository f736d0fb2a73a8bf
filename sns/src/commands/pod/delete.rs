//! `sns pod delete PODS…`.

use clap::Args;
use names::PodState;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::designation::{Designation, Version};
use crate::directories;
use crate::project::{Selected, VersionDefault};

/// Delete removed releases from the project, which frees their ports
///
/// Only releases in state removed can be deleted. The directory is hidden, not deleted, so it can be
/// brought back by renaming it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sns pod state web:1.0.0 --state=removed
  git commit -am 'Retire web 1.0.0' && sns cluster sync
  sns pod delete web:1.0.0")]
pub(crate) struct DeleteArgs {
    /// The releases; the hosts are all unless named
    #[arg(value_name = "POD:VERSION[@HOST]", required = true)]
    pods: Vec<Designation>,
}

/// Finds and checks all releases first, so that one mistake deletes nothing.
pub(crate) fn run(context: &Context<'_>, args: &DeleteArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let mut releases = Vec::new();
    for named in &args.pods {
        if named.version == Version::Unsaid {
            return Err(CommandError::mistake(format!(
                "which version of pod {} should be deleted?",
                named.pod
            ))
            .hint(format!(
                "`sns pod ls {} --state=removed` lists what can be",
                named.pod
            )));
        }
        releases.extend(cluster.releases(named, VersionDefault::All)?);
    }
    releases.iter().try_for_each(check_is_removed)?;
    for release in &releases {
        let hidden = directories::set_aside(release.dir.path(), context.environment.now)?;
        cluster.log_pod(
            &release.host,
            &release.id.pod,
            &format!("DELETE_RELEASE {}", release.id),
        )?;
        context.ui.done(&format!(
            "{release} deleted; kept as {}",
            cluster.shown(&hidden)
        ));
    }
    Ok(())
}

fn check_is_removed(release: &Selected) -> Result<(), CommandError> {
    match release.state()? {
        PodState::Removed => Ok(()),
        state => Err(CommandError::mistake(format!(
            "{release} is to be {state}, and only removed releases can be deleted"
        ))
        .hint(format!(
            "sns pod state {release} --state=removed; then commit, sync and delete"
        ))),
    }
}
