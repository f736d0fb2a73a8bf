//! `sns pod rerun · signal · shell · exec`, and `logs --follow`: verbs of the Pod API on a host.
//!
//! They run the host's own `simplenetesd pod FILE VERB`; the pod file itself is never executed here.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::designation::Designation;
use crate::project::{Selected, VersionDefault};

/// Remove and run a pod again, or start some of its units again, host by host
///
/// Config and state stay as they are on the hosts; nothing is synced.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod rerun web@laptop
  sns pod rerun web main           only the unit `main`, whatever its restart policy")]
pub(crate) struct RerunArgs {
    /// The pod; the version is the latest unless named, the hosts are all unless named
    #[arg(value_name = "POD[:VERSION][@HOST]")]
    pod: Designation,
    /// Only these units
    #[arg(value_name = "UNIT")]
    units: Vec<String>,
    /// End the units at once
    #[arg(short, long, conflicts_with = "units")]
    kill: bool,
}

/// Signal units of a pod in the way that it names, host by host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod signal web main")]
pub(crate) struct SignalArgs {
    /// The pod; the version is the latest unless named, the hosts are all unless named
    #[arg(value_name = "POD[:VERSION][@HOST]")]
    pod: Designation,
    /// Only these units
    #[arg(value_name = "UNIT")]
    units: Vec<String>,
}

/// Open a shell in a unit that runs
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod shell web@laptop
  sns pod shell web@laptop -c main -- 'ls -l | wc -l'")]
pub(crate) struct ShellArgs {
    /// The pod; the version is the latest unless named
    #[arg(value_name = "POD[:VERSION][@HOST]")]
    pod: Designation,
    /// The unit; the last one of the pod unless named
    #[arg(short, long, visible_alias = "container", visible_short_alias = 'c')]
    unit: Option<String>,
    /// Use bash instead of sh
    #[arg(short, long)]
    bash: bool,
    /// Run these words as a line of the shell instead
    #[arg(last = true)]
    line: Vec<String>,
}

/// Run a command in a unit that runs; its exit status is the command's
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod exec web@laptop -c main -- env")]
pub(crate) struct ExecArgs {
    /// The pod; the version is the latest unless named
    #[arg(value_name = "POD[:VERSION][@HOST]")]
    pod: Designation,
    /// The unit; the last one of the pod unless named
    #[arg(short, long, visible_alias = "container", visible_short_alias = 'c')]
    unit: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Reruns on every host that is meant.
pub(crate) fn rerun(context: &Context<'_>, args: &RerunArgs) -> Result<(), CommandError> {
    let kill = args.kill.then(|| "--kill".to_owned());
    let words: Vec<String> = kill.into_iter().chain(args.units.clone()).collect();
    on_all(context, &args.pod, "rerun", &words)
}

/// Signals on every host that is meant.
pub(crate) fn signal(context: &Context<'_>, args: &SignalArgs) -> Result<(), CommandError> {
    on_all(context, &args.pod, "signal", &args.units)
}

/// Becomes the shell.
pub(crate) fn shell(context: &Context<'_>, args: &ShellArgs) -> Result<(), CommandError> {
    let mut words = vec!["shell".to_owned()];
    words.extend(args.unit.iter().map(|unit| format!("--container={unit}")));
    words.extend(args.bash.then(|| "--bash".to_owned()));
    words.push("--".to_owned());
    words.extend(args.line.clone());
    become_verb(context, &args.pod, &words)
}

/// Becomes the command.
pub(crate) fn exec(context: &Context<'_>, args: &ExecArgs) -> Result<(), CommandError> {
    let mut words = vec!["exec".to_owned()];
    words.extend(args.unit.iter().map(|unit| format!("--container={unit}")));
    words.push("--".to_owned());
    words.extend(args.command.clone());
    become_verb(context, &args.pod, &words)
}

/// Runs the verb on one host after the other; one that fails does not hide the others.
fn on_all(
    context: &Context<'_>,
    pod: &Designation,
    verb: &str,
    words: &[String],
) -> Result<(), CommandError> {
    let releases = context.open()?.releases(pod, VersionDefault::Latest)?;
    let mut failed = Vec::new();
    for release in &releases {
        let mut command = of_host(context, release)?;
        let status = command.arg(verb).args(words).status();
        let status = status.map_err(|error| not_started(&error))?;
        if status.success() {
            context.ui.result(&format!("{release} {verb}: done"));
        } else {
            failed.push(release.to_string());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(CommandError::mistake(format!(
        "{verb} failed on {} of {}: {}",
        failed.len(),
        releases.len(),
        failed.join(", ")
    )))
}

/// Becomes the verb on the one host that is meant: terminal and exit status are its own.
pub(super) fn become_verb(
    context: &Context<'_>,
    pod: &Designation,
    words: &[String],
) -> Result<(), CommandError> {
    let releases = context.open()?.releases(pod, VersionDefault::Latest)?;
    let [release] = releases.as_slice() else {
        let places: Vec<String> = releases.iter().map(ToString::to_string).collect();
        return Err(CommandError::mistake(format!(
            "this works with one release at a time, and {} are meant: {}",
            places.len(),
            places.join(", ")
        ))
        .hint("name the host, as in POD@HOST"));
    };
    let error = of_host(context, release)?.args(words).exec();
    Err(not_started(&error))
}

/// `simplenetesd pod FILE` for a release on its host.
fn of_host(context: &Context<'_>, release: &Selected) -> Result<Command, CommandError> {
    let home = release.host.home(context.environment)?;
    let file = home.files.release(&release.id).pod();
    if !file.exists() {
        return Err(CommandError::mistake(format!(
            "{release} is not on its host: there is no {}",
            file.display()
        ))
        .hint("bring it there with `sns cluster sync`"));
    }
    let beside = context.environment.program_dir.as_ref();
    let beside = beside.map(|directory| directory.join("simplenetesd"));
    // Installed together, used together.
    let program = beside.filter(|program| program.exists());
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the host's own program is asked"
    )]
    let mut command = Command::new(program.unwrap_or_else(|| PathBuf::from("simplenetesd")));
    command.arg("pod").arg(file);
    Ok(command)
}

fn not_started(error: &std::io::Error) -> CommandError {
    CommandError::new(Kind::Files, format!("cannot start simplenetesd: {error}"))
        .hint("sns and simplenetesd are installed together: put both into one directory")
}
