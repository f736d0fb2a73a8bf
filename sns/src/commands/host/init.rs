//! `sns host init HOST`.

use clap::Args;
use names::HostName;
use simplenetes_sync::far::{self, Takeover};

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::commands::plugin::install::tell;
use crate::plugins::{self, Asked, FirstParty};
use crate::project::{Cluster, Host};
use crate::proxy_keys::HostProxyKeys;
use crate::secrets::HostKey;

/// Prepare a host for this cluster, and give it the first-party plugins
///
/// Makes the host's home with its cluster id, and two key pairs: one for its encrypted configs, one by which its
/// proxy proves to those of the other hosts that it belongs to the cluster. The private keys stay there, the public
/// ones go into age-recipient.txt and proxy-keys.txt in the host's folder. Writes the plugins that
/// come with Simplenetes, with what they ask for as grants, into the host's plugins.yaml. Plugins that the
/// host has already stay as they are. Can be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sns host init laptop")]
pub(crate) struct InitArgs {
    /// The host; in this version it must be on this machine
    host: HostName,

    /// Take over a home that belongs to another cluster
    #[arg(short, long)]
    force: bool,
}

/// Makes the home and its keys, then installs the plugins.
pub(crate) fn run(context: &Context<'_>, args: &InitArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = cluster.host(&args.host)?;
    let home = host.home(context.environment)?.files;
    let takeover = match args.force {
        true => Takeover::Forced,
        false => Takeover::Refused,
    };
    far::init(&home, &cluster.id, takeover)?;
    if HostKey::of(&host, context.environment)?.ensure(&cluster)? {
        context.ui.warning(&format!(
            "host {} has another key than the project knew: what was encrypted to that it cannot open",
            host.name
        ));
        context
            .ui
            .hint("encrypt it to the new one: sns secret encrypt");
    }
    HostProxyKeys::of(&host, context.environment)?.ensure()?;
    install_first_party(context, &cluster, &host)?;
    context.ui.done(&format!(
        "host {} is ready at {} for cluster {}",
        host.name,
        home.path().display(),
        cluster.id
    ));
    Ok(())
}

fn install_first_party(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    host: &Host,
) -> Result<(), CommandError> {
    let found = FirstParty::find(context.environment);
    found
        .broken
        .iter()
        .for_each(|error| context.ui.warning(&error.to_string()));
    if found.components.is_empty() {
        context.ui.warning(
            "no first-party plugins were found, so no pod can be compiled for this host yet",
        );
        context.ui.hint(&found.looked());
    }
    let present = host.plugins()?;
    for component in &found.components {
        match present.get(&component.manifest.id) {
            Some(entry) if entry.digest != component.digest.to_string() => {
                context.ui.note(&format!(
                    "host {} keeps its plugin {} {}; {} is available",
                    host.name,
                    entry.name,
                    entry.version,
                    component.name()
                ));
                context.ui.hint(&format!(
                    "upgrade with `sns plugin install {}@{}`",
                    entry.name, host.name
                ));
            }
            _ => {
                let results = plugins::install(
                    cluster,
                    std::slice::from_ref(host),
                    component,
                    Asked::NoMore,
                )?;
                results
                    .iter()
                    .for_each(|result| tell(context, host, component, result));
            }
        }
    }
    Ok(())
}
