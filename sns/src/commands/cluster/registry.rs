//! `sns cluster registry`.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use clap::Args;
use names::HostName;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::project::Cluster;
use crate::registry;

/// Most bytes that are read from standard input.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// Note logins of image registries, for all hosts or for one
///
/// Reads lines REGISTRY:USER:PASSWORD from standard input and adds them to registry-config.json of the project, or of
/// the host. Git ignores that file. `sns host init` carries it to the hosts, where podman reads it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo 'ghcr.io:anna:TOKEN' | sns cluster registry
  sns cluster registry worker1 < logins.txt && sns host init worker1
  echo 'ghcr.io:anna:TOKEN' | sns cluster registry -")]
pub(crate) struct RegistryArgs {
    /// The host, for which the logins of the cluster do not count any more; `-` prints what would be written
    #[arg(value_name = "HOST")]
    host: Option<String>,
}

/// Reads them and adds them.
pub(crate) fn run(context: &Context<'_>, args: &RegistryArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = match args.host.as_deref() {
        None | Some("-") => None,
        Some(name) => {
            let name: HostName = name.parse().map_err(|_| {
                CommandError::new(
                    Kind::CommandLine,
                    format!("`{name}` is no name of a host: {}", HostName::RULE),
                )
            })?;
            Some(cluster.host(&name)?)
        }
    };
    let lines = input()?;
    if args.host.as_deref() == Some("-") {
        let text = registry::with_logins(None, &lines)?;
        context.ui.raw(text.as_bytes());
        return Ok(());
    }
    let path = registry::path(&cluster, host.as_ref());
    let present = fs::read_to_string(&path).ok();
    let text = registry::with_logins(present.as_deref(), &lines)?;
    ignore(&cluster)?;
    hostfiles::replace(&path, text.as_bytes(), 0o600)?;
    context
        .ui
        .done(&format!("logins are in {}", cluster.shown(&path)));
    context
        .ui
        .hint("`sns host init HOST` carries them to a host");
    Ok(())
}

fn input() -> Result<String, CommandError> {
    let mut lines = String::new();
    let read = io::stdin().lock().take(INPUT_BYTES_MAX);
    { read }
        .read_to_string(&mut lines)
        .map_err(|error| CommandError::files("could not read the logins", error))?;
    if lines.trim().is_empty() {
        return Err(
            CommandError::new(Kind::CommandLine, "no login came on standard input")
                .hint("echo 'REGISTRY:USER:PASSWORD' | sns cluster registry"),
        );
    }
    Ok(lines)
}

/// Makes sure that git does not take the logins.
fn ignore(cluster: &Cluster<'_>) -> Result<(), CommandError> {
    let path = cluster.path().join(".gitignore");
    let present = read_or_empty(&path)?;
    if present.lines().any(|line| line.trim() == registry::FILE) {
        return Ok(());
    }
    let end = match present.is_empty() || present.ends_with('\n') {
        true => "",
        false => "\n",
    };
    let text = format!("{present}{end}{}\n", registry::FILE);
    hostfiles::replace(&path, text.as_bytes(), 0o644)?;
    Ok(())
}

fn read_or_empty(path: &Path) -> Result<String, CommandError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| {
            CommandError::files(format!("could not read {}", path.display()), error)
        }),
    }
}
