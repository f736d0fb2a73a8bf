//! `sns pod rerun · signal` on all hosts at once, `shell · exec` on one: verbs of the Pod API.

use clap::Args;
use names::PodState;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::designation::Designation;
use crate::logs::visible;
use crate::pod_api::{Failures, PodOnHost, check_units};
use crate::project::{Selected, VersionDefault};
use crate::remote::{Output, Remotes};
use crate::syncing::at_once;

/// Remove and run a pod again, or start some of its units again, on all its hosts
///
/// All hosts do it at the same time; one that is out of reach is told, and the others go on. Config and state stay as
/// they are on the hosts; nothing is synced.
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

/// Signal units of a pod in the way that it names, on all its hosts
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
///
/// Works on every host, over SSH too. The exit status is the shell's, or that of the command.
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
///
/// Works on every host, over SSH too. Without a terminal its three streams are those of `sns`, byte for byte.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod exec web@laptop -c main -- env
  sns pod exec db@worker1 -- pg_dump app > app.sql")]
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

/// Remove the volumes of a pod that was removed, with all data in them
///
/// Nothing else removes a volume: no sync, no `sns cluster gc`. Refused while the project wants the pod, and by a host on
/// which it still is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod state db:1.0.0 -s removed && git commit -am 'db gone' && sns cluster sync
  sns pod purge db:1.0.0@worker1 --yes")]
pub(crate) struct PurgeArgs {
    /// The pod and its version; the hosts are all unless named
    #[arg(value_name = "POD:VERSION[@HOST]")]
    pod: Designation,
    /// The data is gone for good, and that is meant
    #[arg(short, long, required = true)]
    yes: bool,
}

/// Purges on every host that is meant.
pub(crate) fn purge(context: &Context<'_>, args: &PurgeArgs) -> Result<(), CommandError> {
    let releases = context
        .open()?
        .releases(&args.pod, VersionDefault::Latest)?;
    for release in &releases {
        if release.state()? != PodState::Removed {
            return Err(
                CommandError::refused(format!("{release} is wanted, so its volumes stay"))
                    .hint("first remove it: sns pod state … -s removed, commit, sync"),
            );
        }
    }
    on_all(context, &args.pod, "purge", None, &[])
}

/// Reruns on every host that is meant.
pub(crate) fn rerun(context: &Context<'_>, args: &RerunArgs) -> Result<(), CommandError> {
    let kill = args.kill.then(|| "--kill".to_owned());
    on_all(context, &args.pod, "rerun", kill, &args.units)
}

/// Signals on every host that is meant.
pub(crate) fn signal(context: &Context<'_>, args: &SignalArgs) -> Result<(), CommandError> {
    on_all(context, &args.pod, "signal", None, &args.units)
}

/// Becomes the shell.
pub(crate) fn shell(context: &Context<'_>, args: &ShellArgs) -> Result<(), CommandError> {
    let mut words = vec!["shell".to_owned()];
    words.extend(args.unit.iter().map(|unit| format!("--container={unit}")));
    words.extend(args.bash.then(|| "--bash".to_owned()));
    words.push("--".to_owned());
    words.extend(args.line.clone());
    on_one(context, &args.pod, args.unit.as_ref(), &words)
}

/// Becomes the command.
pub(crate) fn exec(context: &Context<'_>, args: &ExecArgs) -> Result<(), CommandError> {
    let mut words = vec!["exec".to_owned()];
    words.extend(args.unit.iter().map(|unit| format!("--container={unit}")));
    words.push("--".to_owned());
    words.extend(args.command.clone());
    on_one(context, &args.pod, args.unit.as_ref(), &words)
}

/// Runs the verb on all hosts at the same time; one that fails does not hide the others.
fn on_all(
    context: &Context<'_>,
    pod: &Designation,
    verb: &str,
    option: Option<String>,
    units: &[String],
) -> Result<(), CommandError> {
    let releases = context.open()?.releases(pod, VersionDefault::Latest)?;
    releases
        .iter()
        .try_for_each(|release| check_units(release, units))?;
    let mut words = vec![verb.to_owned()];
    words.extend(option);
    words.extend_from_slice(units);
    let remotes = Remotes::new(context.environment)?;
    let asked = at_once(&releases, &|release: &Selected| {
        PodOnHost::open(&remotes, context.environment, release)?.ask(&words)
    });
    context.tell_warnings(&remotes);
    let mut failures = Failures::of(context.ui, releases.len());
    for (release, outcome) in releases.iter().zip(asked) {
        match outcome {
            Ok(output) => {
                tell(context, release, releases.len() > 1, &output);
                context.ui.result(&format!("{release} {verb}: done"));
            }
            Err(error) => failures.add(release, error),
        }
    }
    failures.sum_up(verb)
}

/// Shows what a verb has said, which those of programs may do.
fn tell(context: &Context<'_>, release: &Selected, are_many: bool, output: &Output) {
    let prefix = match are_many {
        true => format!("{} ", release.host.name),
        false => String::new(),
    };
    let shown = |line: &str| format!("{prefix}{}", visible(line));
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines()
        .for_each(|line| context.ui.result(&shown(line)));
    output
        .stderr
        .lines()
        .for_each(|line| context.ui.note(&shown(line)));
}

/// Becomes the verb on the one host that is meant: terminal and exit status are its own.
fn on_one(
    context: &Context<'_>,
    pod: &Designation,
    unit: Option<&String>,
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
    check_units(release, unit)?;
    let remotes = Remotes::new(context.environment)?;
    let opened = PodOnHost::open(&remotes, context.environment, release);
    context.tell_warnings(&remotes);
    opened?.become_verb(words)
}
