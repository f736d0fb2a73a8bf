//! `sns host detach POD[@HOST]`.

use clap::Args;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::designation::{Designation, Version};
use crate::directories;

/// Take a pod from a host; the next sync removes its releases there
///
/// The pod's directory is hidden, not deleted, so it can be brought back by renaming it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host detach web@laptop
  sns host detach web")]
pub(crate) struct DetachArgs {
    /// The pod, and the host if it is not all of them
    #[arg(value_name = "POD[@HOST]")]
    pod: Designation,
}

/// Hides its directory on each host.
pub(crate) fn run(context: &Context<'_>, args: &DetachArgs) -> Result<(), CommandError> {
    let named = &args.pod;
    if named.version != Version::Unsaid {
        return Err(CommandError::new(
            Kind::CommandLine,
            "a pod is detached with all its versions: leave the version out",
        ));
    }
    let cluster = context.open()?;
    for host in cluster.hosts_to_leave(&named.pod, named.host.as_ref())? {
        cluster.log_pod(
            &host,
            &named.pod,
            &format!("DETACHED {}@{}", named.pod, host.name),
        )?;
        let hidden =
            directories::set_aside(&host.dir.pod_dir(&named.pod), context.environment.now)?;
        context.ui.done(&format!(
            "pod {} detached from host {}; kept as {}",
            named.pod,
            host.name,
            cluster.shown(&hidden)
        ));
    }
    Ok(())
}
