//! `sns secret set POD/CONFIG/FILE`.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::Args;
use seal::CONFIG_BYTES_MAX;
use zeroize::Zeroizing;

use super::{IdentityArgs, check_declared, hint_to_bring, warn_without_operators};
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::secrets::{self, SecretPath};

/// Put a secret into an encrypted config of a pod
///
/// Reads it from standard input, byte for byte, or from a file, and writes it encrypted to
/// `_config/POD/CONFIG/FILE`: to the hosts that the pod is attached to, and to all operators. A file that
/// says so already keeps its bytes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  printf %s 'correct horse' | sns secret set web/keys/db.password
  sns secret set web/keys/tls.pem --from-file=tls.pem")]
pub(crate) struct SetArgs {
    /// The file, as it lies below _config; its config has `encrypted: true` in the pod.yaml
    #[arg(value_name = "POD/CONFIG/FILE")]
    name: SecretPath,

    /// Read the secret from this file
    #[arg(short, long, value_name = "FILE")]
    from_file: Option<PathBuf>,

    #[command(flatten)]
    identity: IdentityArgs,
}

/// Encrypts it.
pub(crate) fn run(context: &Context<'_>, args: &SetArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    check_declared(context, &cluster, &args.name)?;
    let audience = secrets::audience(&cluster, &args.name.pod)?;
    let plain = read(context, args)?;
    let key = args.identity.key(context)?;
    if !secrets::put(&cluster, &args.name, &plain, &audience, &key)? {
        context.ui.note(&format!("{} says that already", args.name));
        return Ok(());
    }
    context.ui.done(&format!(
        "{} is encrypted to {} readers",
        args.name,
        audience.len()
    ));
    warn_without_operators(context, &cluster)?;
    hint_to_bring(context, &args.name.pod);
    Ok(())
}

fn read(context: &Context<'_>, args: &SetArgs) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let mut plain = Zeroizing::new(Vec::new());
    let read = match &args.from_file {
        Some(path) => {
            let path = context.environment.current_dir.join(path);
            let file = fs::File::open(&path).map_err(|error| {
                CommandError::files(format!("could not read {}", path.display()), error)
            })?;
            file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut plain)
        }
        None => {
            if io::stdin().is_terminal() {
                context.ui.note(
                    "type the secret, then Enter and Ctrl-D; the line break becomes part of it",
                );
            }
            let stdin = io::stdin().lock();
            stdin.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut plain)
        }
    };
    read.map_err(|error| CommandError::files("could not read the secret", error))?;
    if plain.is_empty() {
        return Err(CommandError::mistake("the secret is empty")
            .hint("give it on standard input, or with --from-file"));
    }
    Ok(plain)
}
