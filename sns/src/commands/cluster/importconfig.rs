//! `sns cluster importconfig POD`.

use clap::Args;
use names::PodName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::git::{Repository, Revision};
use crate::pod_sources::PodSource;
use crate::project::Cluster;

/// Copy a pod's configs from its repository into the project
///
/// The configs land in `_config/POD`, over what is there. Templates and configs in the project are what
/// `sns pod compile` and `sns pod updateconfig` use from then on.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sns cluster importconfig web && git diff _config/web")]
pub(crate) struct ImportConfigArgs {
    /// The pod; it must be attached to a host
    pod: PodName,
}

/// Copies the configs, if nothing in their place would be lost.
pub(crate) fn run(context: &Context<'_>, args: &ImportConfigArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    cluster.hosts_of(&args.pod, None)?;
    let source = PodSource::find(&cluster, &args.pod, None, context.ui)?;
    if !source.has_configs() {
        return Err(
            CommandError::mistake(format!("pod {} brings no configs", args.pod))
                .hint("configs are the directories below config/ beside its pod.yaml"),
        );
    }
    check_nothing_is_lost(&cluster, &args.pod)?;
    let target = import(&cluster, &args.pod, &source)?;
    context
        .ui
        .done(&format!("configs of pod {} are in {target}", args.pod));
    context.ui.hint(&format!(
        "bring them into compiled releases with `sns pod updateconfig {}`",
        args.pod
    ));
    Ok(())
}

/// Copies the configs and logs it. Gives the place as people read it.
pub(crate) fn import(
    cluster: &Cluster<'_>,
    pod: &PodName,
    source: &PodSource,
) -> Result<String, CommandError> {
    let target = cluster.files.config_dir(pod);
    source.import_configs(&target)?;
    cluster.log(&format!(
        "IMPORT_POD_CFG {pod} {}",
        source.revision("config")?
    ))?;
    Ok(cluster.shown(&target))
}

/// What is committed can be brought back; what is not would be gone.
fn check_nothing_is_lost(cluster: &Cluster<'_>, pod: &PodName) -> Result<(), CommandError> {
    let target = cluster.files.config_dir(pod);
    match Repository::open(cluster.path())?.revision(&target)? {
        Revision::Changed => Err(CommandError::refused(format!(
            "{} has changes that are not committed",
            cluster.shown(&target)
        ))
        .hint("commit them first; then they can be compared and brought back")),
        Revision::Commit(_) | Revision::Missing => Ok(()),
    }
}
