//! `sns host rekey HOST`.

use clap::Args;
use names::HostName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::secrets::HostKey;

/// Give a host a new key for its encrypted configs
///
/// The new public key goes into age-recipient.txt in the host's folder. The host keeps the former keys as
/// well, so that everything it has can be opened until what is encrypted to the new one has arrived; then
/// --forget takes them away.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host rekey laptop
  sns secret encrypt && sns pod updateconfig web && git commit -am 'laptop: new key' && sns cluster sync
  sns host rekey laptop --forget")]
pub(crate) struct RekeyArgs {
    /// The host; in this version it must be on this machine
    host: HostName,

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
