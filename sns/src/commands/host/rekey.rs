//! `sns host rekey HOST`.

use clap::Args;
use names::HostName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::host_keys;
use crate::remote::Remotes;
use crate::syncing::{Failure, Receiver};

/// Give a host a new key for its encrypted configs, or for its proxy
///
/// The new public key goes into age-recipient.txt in the host's folder. The host keeps the former keys as
/// well, so that everything it has can be opened until what is encrypted to the new one has arrived; then
/// --forget takes them away.
///
/// With --proxy it is the key by which the proxy of the host proves to the others that it belongs to the cluster.
/// The public keys, the former ones too, go into proxy-keys.txt; when they have been synced to all hosts, --forget
/// takes the former ones away, and the next sync makes all hosts forget them. No connection is dropped by that.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host rekey laptop
  sns secret encrypt && sns pod updateconfig web && git commit -am 'laptop: new key' && sns cluster sync
  sns host rekey laptop --forget
  sns host rekey laptop --proxy && git commit -am 'laptop: new key of the proxy' && sns cluster sync
  sns host rekey laptop --proxy --forget && git commit -am 'laptop: former key gone' && sns cluster sync")]
pub(crate) struct RekeyArgs {
    /// The host
    host: HostName,

    /// The key of the proxy, not the one for encrypted configs
    #[arg(long)]
    proxy: bool,

    /// Only take away the keys before the newest
    #[arg(long)]
    forget: bool,
}

/// Makes a key, or takes the former ones away.
pub(crate) fn run(context: &Context<'_>, args: &RekeyArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = cluster.host(&args.host)?;
    let remotes = Remotes::new(context.environment)?;
    let opened = Receiver::open(&remotes, context.environment, &host);
    context.tell_warnings(&remotes);
    let keys = opened
        .and_then(|receiver| {
            receiver.ask(|link| link.rekey(&cluster.id, &host.name, args.proxy, args.forget))
        })
        .map_err(Failure::into_error)?;
    host_keys::publish(&cluster, &host, &keys)?;
    let name = &host.name;
    let owner = match args.proxy {
        true => format!("the proxy of host {name}"),
        false => format!("host {name}"),
    };
    if !args.forget {
        context.ui.done(&format!("{owner} has a new key"));
        context.ui.hint(match args.proxy {
            true => "commit it and sync all hosts; when they know it: sns host rekey --proxy --forget",
            false => "encrypt to it with `sns secret encrypt`; when that has been synced: sns host rekey --forget",
        });
        return Ok(());
    }
    match (keys.is_changed, args.proxy) {
        (false, _) => context.ui.note(&format!("{owner} has one key only")),
        (true, false) => context.ui.done(&format!(
            "{owner} has its newest key only: what is encrypted to a former one it cannot open any more"
        )),
        (true, true) => {
            context.ui.done(&format!("{owner} has its newest key only"));
            context
                .ui
                .hint("commit and sync: then nobody believes a former one any more");
        }
    }
    Ok(())
}
