//! `sns host init HOST`.

use clap::Args;
use names::HostName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::commands::plugin::install::tell;
use crate::plugins::{self, Asked, FirstParty};
use crate::project::{Cluster, Host};
use crate::remote::Remotes;
use crate::syncing::{Failure, Receiver};
use crate::{host_keys, registry};

/// Prepare a host for this cluster, and give it the first-party plugins
///
/// Makes the host's home with its cluster id, and two key pairs: one for its encrypted configs, one by which its
/// proxy proves to those of the other hosts that it belongs to the cluster. The private keys stay there, the public
/// ones go into age-recipient.txt and proxy-keys.txt in the host's folder. Writes the plugins that
/// come with Simplenetes, with what they ask for as grants, into the host's plugins.yaml. Plugins that the
/// host has already stay as they are. Logins of image registries that `sns cluster registry` has noted go to the
/// host. Can be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sns host init laptop
  sns host init worker1 --dry-run")]
pub(crate) struct InitArgs {
    /// The host
    host: HostName,

    /// Take over a home that belongs to another cluster
    #[arg(short, long)]
    force: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Makes the home and its keys, then installs the plugins.
pub(crate) fn run(context: &Context<'_>, args: &InitArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = cluster.host(&args.host)?;
    let logins = registry::logins_for(&cluster, &host)?;
    if args.dry_run {
        return say(context, &host, logins.is_some());
    }
    let remotes = Remotes::new(context.environment)?;
    let opened = Receiver::open(&remotes, context.environment, &host);
    context.tell_warnings(&remotes);
    let keys = opened
        .and_then(|receiver| {
            receiver.ask(|link| link.init(&cluster.id, &host.name, args.force, logins))
        })
        .map_err(Failure::into_error)?;
    if host_keys::publish(&cluster, &host, &keys)? {
        context.ui.warning(&format!(
            "host {} has another key than the project knew: what was encrypted to that it cannot open",
            host.name
        ));
        context
            .ui
            .hint("encrypt it to the new one: sns secret encrypt");
    }
    install_first_party(context, &cluster, &host)?;
    context.ui.done(&format!(
        "host {} is ready at {} for cluster {}",
        host.name,
        host.env.host_home(),
        cluster.id
    ));
    Ok(())
}

fn say(context: &Context<'_>, host: &Host, has_logins: bool) -> Result<(), CommandError> {
    let home = host.env.host_home();
    context.ui.result(&format!(
        "would make {home} on host {} a host home of this cluster, with keys",
        host.name
    ));
    if has_logins {
        context
            .ui
            .result("would give it the logins of image registries");
    }
    for component in &FirstParty::find(context.environment).components {
        let name = component.name();
        match host.plugins()?.get(&component.manifest.id) {
            Some(present) => context.ui.result(&format!(
                "would keep plugin {} {}",
                present.name, present.version
            )),
            None => context.ui.result(&format!("would install plugin {name}")),
        }
    }
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
