//! `sns pod logs POD [UNITS…]`.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::by_hand;
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::designation::Designation;
use crate::logs::{self, Detail, Filter, Line, LogFile, Stream};
use crate::project::{Selected, VersionDefault};
use crate::suggest::did_you_mean;

/// Show what the units of a pod have written, host by host
///
/// Reads the log files of local hosts, those that were set aside for their size included. Without
/// units: all of them and the pod's own log, shown as `<pod>`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod logs web
  sns pod logs web main --limit=-20 --streams=stderr
  sns pod logs web@laptop --timestamp=-3600 --details=age,name,stream")]
pub(crate) struct LogsArgs {
    /// The pod; the version is the latest unless named, the hosts are all unless named
    #[arg(value_name = "POD[:VERSION][@HOST]")]
    pod: Designation,

    /// Only these units
    #[arg(value_name = "UNIT")]
    units: Vec<String>,

    /// The log of the pod itself; without units only that
    #[arg(short = 'p', long)]
    daemon_process: bool,

    /// Go on with what is written from now on, until Ctrl-C; of one host
    #[arg(short, long, conflicts_with = "json")]
    follow: bool,

    /// From this UNIX time on, or seconds back from now when negative
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    timestamp: i64,

    /// The first N lines, or the last N when negative; 0 is all
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    limit: i64,

    /// Only these streams
    #[arg(short, long, visible_alias = "stream", value_delimiter = ',', default_values = ["stdout", "stderr"])]
    streams: Vec<Stream>,

    /// What is shown in front of each line
    #[arg(short, long, value_delimiter = ',', default_values = ["ts", "name"])]
    details: Vec<Detail>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

impl LogsArgs {
    /// The same in the words of the Pod API.
    fn words(&self) -> Vec<String> {
        let list =
            |words: &mut dyn Iterator<Item = &'static str>| words.collect::<Vec<_>>().join(",");
        let mut words = vec![
            "logs".to_owned(),
            "--follow".to_owned(),
            format!("--timestamp={}", self.timestamp),
            format!("--limit={}", self.limit),
            format!(
                "--stream={}",
                list(&mut self.streams.iter().map(|stream| stream.as_str()))
            ),
            format!(
                "--details={}",
                list(&mut self.details.iter().map(|detail| detail.as_str()))
            ),
        ];
        words.extend(self.daemon_process.then(|| "--daemon-process".to_owned()));
        words.extend(self.units.clone());
        words
    }
}

/// Shows them.
pub(crate) fn run(context: &Context<'_>, args: &LogsArgs) -> Result<(), CommandError> {
    if args.follow {
        return by_hand::become_verb(context, &args.pod, &args.words());
    }
    let cluster = context.open()?;
    let now = context.environment.now;
    let filter = Filter {
        since: args.timestamp,
        limit: args.limit,
    };
    let details: BTreeSet<Detail> = args.details.iter().copied().collect();
    let releases = cluster.releases(&args.pod, VersionDefault::Latest)?;
    let mut list = Vec::new();
    for release in &releases {
        let home = release.host.home(context.environment)?;
        let files = logs::find(&home.files.release(&release.id).log_dir(), &release.id)?;
        check_units(release, args, &files)?;
        let lines = logs::select(read(args, &files, filter.begin(now))?, &filter, now);
        if args.json {
            list.extend(lines.iter().map(|line| as_json(release, line)));
            continue;
        }
        if releases.len() > 1 {
            context.ui.result(&format!("host: {}", release.host.name));
        }
        lines
            .iter()
            .for_each(|line| context.ui.result(&logs::show(line, &details, now)));
    }
    if args.json {
        context.ui.json(&list.into());
    }
    Ok(())
}

fn read(args: &LogsArgs, files: &[LogFile], since: i64) -> Result<Vec<Line>, CommandError> {
    let mut lines = Vec::new();
    for file in files
        .iter()
        .filter(|file| is_wanted(args, file) && file.may_reach(since))
    {
        lines.extend(file.lines()?);
    }
    Ok(lines)
}

fn is_wanted(args: &LogsArgs, file: &LogFile) -> bool {
    let by_name = match (file.is_of_pod(), args.units.is_empty()) {
        (true, true) => true,
        (true, false) => args.daemon_process,
        (false, true) => !args.daemon_process,
        (false, false) => args.units.contains(&file.name),
    };
    by_name && args.streams.contains(&file.stream)
}

/// A unit that neither the compiled pod nor the log directory knows is a slip of the pen.
fn check_units(release: &Selected, args: &LogsArgs, files: &[LogFile]) -> Result<(), CommandError> {
    let mut known: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    known.extend(
        release
            .compiled()?
            .iter()
            .flat_map(|pod| &pod.units)
            .map(|unit| unit.name.to_string()),
    );
    match args.units.iter().find(|unit| !known.contains(unit)) {
        Some(unit) => Err(
            CommandError::mistake(format!("{release} has no unit `{unit}`"))
                .hint_if(did_you_mean(unit, known.iter().map(String::as_str))),
        ),
        None => Ok(()),
    }
}

fn as_json(release: &Selected, line: &Line) -> serde_json::Value {
    json!({
        "host": release.host.name,
        "release": release.id,
        "unit": line.name,
        "stream": line.stream.as_str(),
        "seconds": line.seconds,
        "index": line.index,
        "text": line.text,
    })
}
