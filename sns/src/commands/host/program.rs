//! `sns host program FILE HOST…`.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use hostfiles::{Format as _, Programs, read_if_present};
use names::HostName;
use simplenetes_sync::Digest;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::project::{Cluster, Host};

/// Give hosts a program from the project, which then counts before the one that was installed there
///
/// The program goes into _programs/ of the project, its digest into programs.txt in the host's folder. The next sync
/// brings it. A unit that runs an earlier one from the project is told as of a changed config: the cluster proxy goes on
/// with the new program without losing a connection. One that runs the installed program takes it when it starts next.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host program ./sns-proxy worker1 worker2
  git add . && git commit -m 'proxy 0.2.0' && sns cluster sync
  sns host program ./build/server --name=shop-server worker1
  sns host program sns-proxy --forget worker1
  sns host program --list")]
pub(crate) struct ProgramArgs {
    /// The program; with --forget its name
    #[arg(value_name = "FILE", required_unless_present = "list")]
    file: Option<PathBuf>,

    /// The hosts
    #[arg(value_name = "HOST", required_unless_present = "list")]
    hosts: Vec<HostName>,

    /// The name by which pods call it; default: that of the file
    #[arg(long)]
    name: Option<String>,

    /// Take it from the hosts: what was installed there counts again
    #[arg(long, conflicts_with = "name")]
    forget: bool,

    /// List which hosts have which programs
    #[arg(long, conflicts_with_all = ["file", "hosts", "name", "forget"])]
    list: bool,
}

/// Puts the program into the project, or takes it out.
pub(crate) fn run(context: &Context<'_>, args: &ProgramArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    if args.list {
        return list(context, &cluster);
    }
    let hosts: Result<Vec<Host>, _> = args.hosts.iter().map(|name| cluster.host(name)).collect();
    let (hosts, file) = (hosts?, args.file.clone().unwrap_or_default());
    if args.forget {
        forget(context, &hosts, &file.to_string_lossy())?;
    } else {
        let name = name_of(&file, args.name.as_deref())?;
        let digest = place(context, &cluster, &file, &name)?;
        for host in &hosts {
            let mut programs = of(host)?;
            programs.0.insert(name.clone(), digest.clone());
            write(host, &programs)?;
            context
                .ui
                .done(&format!("host {} gets {name} (sha256 {digest})", host.name));
        }
    }
    tidy(&cluster)?;
    context.ui.hint("commit it, then sync");
    Ok(())
}

fn list(context: &Context<'_>, cluster: &Cluster<'_>) -> Result<(), CommandError> {
    for host in cluster.hosts()? {
        for (name, digest) in of(&host)?.0 {
            context.ui.result(&format!("{} {name} {digest}", host.name));
        }
    }
    Ok(())
}

fn forget(context: &Context<'_>, hosts: &[Host], name: &str) -> Result<(), CommandError> {
    for host in hosts {
        let mut programs = of(host)?;
        if programs.0.remove(name).is_none() {
            return Err(CommandError::mistake(format!(
                "host {} has no program `{name}` from the project",
                host.name
            ))
            .hint("`sns host program --list` shows all"));
        }
        write(host, &programs)?;
        let host = &host.name;
        context.ui.done(&format!(
            "host {host} will use the {name} that is installed there"
        ));
    }
    Ok(())
}

fn name_of(file: &Path, given: Option<&str>) -> Result<String, CommandError> {
    let own = file.file_name().unwrap_or_default().to_string_lossy();
    let name = given.unwrap_or(&own);
    if Programs::is_name(name) {
        return Ok(name.to_owned());
    }
    Err(CommandError::new(
        Kind::CommandLine,
        format!("`{name}` is no name of a program: letters, digits, `-`, `_` and `.`"),
    )
    .hint("give one with --name"))
}

/// Copies the program into the project. Gives its digest.
fn place(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    file: &Path,
    name: &str,
) -> Result<String, CommandError> {
    let file = context.environment.current_dir.join(file);
    let failed = |error| CommandError::files(format!("could not read {}", file.display()), error);
    let is_program = fs::metadata(&file)
        .map(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        .map_err(failed)?;
    if !is_program {
        return Err(
            CommandError::mistake(format!("{} is no program", file.display()))
                .hint("is it executable? chmod +x"),
        );
    }
    let bytes = fs::read(&file).map_err(failed)?;
    let digest = Digest::of(&bytes).to_string();
    let directory = cluster.files.programs_dir();
    fs::create_dir_all(&directory).map_err(|error| {
        CommandError::files(
            format!("could not make the directory {}", directory.display()),
            error,
        )
    })?;
    let path = directory.join(Programs::file_name(name, &digest));
    hostfiles::replace(&path, &bytes, 0o755)?;
    Ok(digest)
}

fn of(host: &Host) -> Result<Programs, CommandError> {
    Ok(read_if_present(&host.dir.programs())?.unwrap_or_default())
}

fn write(host: &Host, programs: &Programs) -> Result<(), CommandError> {
    hostfiles::replace(&host.dir.programs(), programs.to_text().as_bytes(), 0o644)?;
    Ok(())
}

/// Takes programs out of the project that no host names any more; git still has them.
fn tidy(cluster: &Cluster<'_>) -> Result<(), CommandError> {
    let mut named = BTreeSet::new();
    for host in cluster.hosts()? {
        let programs = of(&host)?.0;
        named.extend(
            programs
                .iter()
                .map(|(name, digest)| Programs::file_name(name, digest)),
        );
    }
    let directory = cluster.files.programs_dir();
    let failed =
        |error| CommandError::files(format!("could not tidy up {}", directory.display()), error);
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !named.contains(&name) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}
