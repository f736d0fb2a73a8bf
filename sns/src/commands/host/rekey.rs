//! `sns host rekey HOST`.

use clap::Args;
use names::HostName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::project::Host;
use crate::proxy_keys::HostProxyKeys;
use crate::secrets::HostKey;

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
    /// The host; in this version it must be on this machine
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
    let home = host.home(context.environment)?.files;
    if !home.cluster_id().exists() {
        return Err(
            CommandError::mistake(format!("host {} has no home yet", host.name))
                .hint(format!("make it with `sns host init {}`", host.name)),
        );
    }
    if args.proxy {
        return rekey_proxy(context, &host, args.forget);
    }
    let key = HostKey::of(&host, context.environment)?;
    if args.forget {
        match key.forget_older()? {
            true => context.ui.done(&format!(
                "host {} has its newest key only: what is encrypted to a former one it cannot open any more",
                host.name
            )),
            false => context
                .ui
                .note(&format!("host {} has one key only", host.name)),
        }
        return Ok(());
    }
    key.renew(&cluster)?;
    context
        .ui
        .done(&format!("host {} has a new key", host.name));
    context.ui.hint(
        "encrypt to it with `sns secret encrypt`; when that has been synced: sns host rekey --forget",
    );
    Ok(())
}

fn rekey_proxy(context: &Context<'_>, host: &Host, forget: bool) -> Result<(), CommandError> {
    let keys = HostProxyKeys::of(host, context.environment)?;
    if !forget {
        keys.renew()?;
        context
            .ui
            .done(&format!("the proxy of host {} has a new key", host.name));
        context.ui.hint(
            "commit it and sync all hosts; when they know it: sns host rekey --proxy --forget",
        );
        return Ok(());
    }
    match keys.forget_older()? {
        true => {
            context.ui.done(&format!(
                "the proxy of host {} has its newest key only",
                host.name
            ));
            context
                .ui
                .hint("commit and sync: then nobody believes a former one any more");
        }
        false => context
            .ui
            .note(&format!("the proxy of host {} has one key only", host.name)),
    }
    Ok(())
}
