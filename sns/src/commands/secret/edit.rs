//! `sns secret edit POD/CONFIG/FILE`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use rustix::fs::statfs;
use zeroize::Zeroizing;

use super::{IdentityArgs, check_declared, hint_to_bring, the_file};
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::environment::Environment;
use crate::secrets::{self, SecretPath};

/// File systems that are nothing but memory: tmpfs and ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Change a secret with your editor
///
/// The plain text lies in memory only, in a directory of its own that is gone when the editor ends. The editor
/// is VISUAL or EDITOR; one that keeps copies elsewhere should be told not to.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  EDITOR='vim -n -i NONE' sns secret edit web/keys/settings.env")]
pub(crate) struct EditArgs {
    /// The file, as it lies below _config
    #[arg(value_name = "POD/CONFIG/FILE")]
    name: SecretPath,

    #[command(flatten)]
    identity: IdentityArgs,
}

/// Opens it, waits for the editor, and encrypts what has become of it.
pub(crate) fn run(context: &Context<'_>, args: &EditArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    check_declared(context, &cluster, &args.name)?;
    let file = the_file(&cluster, &args.name)?;
    let key = args.identity.key(context)?;
    let before = secrets::open(&file, &key.read()?, &key)?;
    let audience = secrets::audience(&cluster, &args.name.pod)?;
    let after = edit(context, &args.name, &before)?;
    if *after == *before {
        context.ui.note(&format!("{} was not changed", args.name));
        return Ok(());
    }
    let _lock = cluster.lock(context.ui)?;
    if the_file(&cluster, &args.name)?.bytes != file.bytes {
        return Err(CommandError::refused(format!(
            "{} was changed by somebody else meanwhile",
            args.name
        ))
        .hint("edit it again: what you wrote is gone, because it may lie nowhere"));
    }
    secrets::put(&cluster, &args.name, &after, &audience, &key)?;
    context.ui.done(&format!("{} is changed", args.name));
    hint_to_bring(context, &args.name.pod);
    Ok(())
}

fn edit(
    context: &Context<'_>,
    name: &SecretPath,
    plain: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let editor = context.environment.editor.as_deref().unwrap_or("vi");
    let memory = memory(context.environment)?;
    let failed = |error| CommandError::files("could not lay the secret out for the editor", error);
    // Gone when this function ends, with whatever the editor has left in it.
    let folder = tempfile::Builder::new()
        .prefix("sns-secret-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .tempdir_in(memory)
        .map_err(failed)?;
    let path = folder
        .path()
        .join(name.file.file_name().unwrap_or_default());
    hostfiles::replace(&path, plain, 0o600)?;
    wait_for(editor, &path)?;
    let edited = fs::read(&path).map(Zeroizing::new);
    edited.map_err(|error| CommandError::files("could not read what the editor has left", error))
}

/// The editor may be a program with options, as in `code --wait`.
fn wait_for(editor: &str, path: &Path) -> Result<(), CommandError> {
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    #[expect(
        clippy::disallowed_methods,
        reason = "the person's own editor is the point of this verb"
    )]
    let status = Command::new(program).args(words).arg(path).status();
    let status = status.map_err(|error| {
        CommandError::files(format!("could not start the editor `{editor}`"), error)
            .hint("name yours in EDITOR")
    })?;
    if status.success() {
        return Ok(());
    }
    Err(
        CommandError::mistake(format!("the editor `{editor}` ended with {status}"))
            .hint("nothing was changed"),
    )
}

/// A directory in memory.
fn memory(environment: &Environment) -> Result<PathBuf, CommandError> {
    let places = environment.runtime_dir.iter().cloned();
    let mut places = places.chain([PathBuf::from("/dev/shm")]);
    let found = places.find(|place| {
        let kind = statfs(place)
            .ok()
            .and_then(|seen| u64::try_from(seen.f_type).ok());
        kind.is_some_and(|kind| IN_MEMORY.contains(&kind))
    });
    found.ok_or_else(|| {
        CommandError::mistake("there is no directory in memory for the plain text")
            .hint("set XDG_RUNTIME_DIR, or write it anew with `sns secret set`")
    })
}
