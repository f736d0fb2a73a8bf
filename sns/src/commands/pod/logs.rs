//! `sns pod logs POD [UNITS…]`.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use clap::Args;
use serde_json::json;

use crate::command_error::{CommandError, Kind};
use crate::commands::Context;
use crate::designation::Designation;
use crate::logs::{self, Asker, Detail, LINES_MAX, Line, Merged, News, Stream};
use crate::pod_api::{Failures, check_units};
use crate::project::{Selected, VersionDefault};
use crate::remote::Remotes;
use crate::ui::Part;

/// Show what the units of a pod have written, on all its hosts, in the order of time
///
/// All hosts are asked at the same time. Where there are several, each line begins with its host; one that is out of
/// reach is told, and the others go on. What was set aside for its size is shown too. Without units: all of them and
/// the pod's own log, shown as `<pod>`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod logs web
  sns pod logs web main --limit=-20 --streams=stderr
  sns pod logs web --follow --limit=-10
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

    /// Go on with what is written from now on, as it comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,

    /// From this UNIX time on, or seconds back from now when negative, by the clock of each host
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    timestamp: i64,

    /// The first N lines of all hosts together, or the last N when negative; 0 is all
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

    /// As JSON; with --follow an object on each line
    #[arg(long)]
    json: bool,
}

impl LogsArgs {
    /// The same in the words of the Pod API.
    fn words(&self) -> Vec<String> {
        let streams: Vec<&str> = self.streams.iter().map(|stream| stream.as_str()).collect();
        let mut words = vec![
            "logs".to_owned(),
            "--json".to_owned(),
            format!("--timestamp={}", self.timestamp),
            format!("--limit={}", self.limit),
            format!("--stream={}", streams.join(",")),
        ];
        words.extend(self.follow.then(|| "--follow".to_owned()));
        words.extend(self.daemon_process.then(|| "--daemon-process".to_owned()));
        words.push("--".to_owned());
        words.extend(self.units.clone());
        words
    }
}

/// Shows them.
pub(crate) fn run(context: &Context<'_>, args: &LogsArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let releases = cluster.releases(&args.pod, VersionDefault::Latest)?;
    releases
        .iter()
        .try_for_each(|release| check_units(release, &args.units))?;
    let asker = Arc::new(Asker {
        remotes: Remotes::new(context.environment)?,
        environment: context.environment.clone(),
        words: args.words(),
        follows: args.follow,
    });
    let (sender, news) = sync_channel(LINES_MAX);
    let sources = releases
        .iter()
        .enumerate()
        .map(|(number, release)| asker.ask(number, release, &sender))
        .collect();
    // The news end with those who bring them.
    drop(sender);
    let mut view = View::new(context, args, &releases);
    let is_heard = view.show_present(Merged::new(sources));
    context.tell_warnings(&asker.remotes);
    let mut failures = Failures::of(context.ui, releases.len());
    if !is_heard || !view.show_news(&news, &mut failures) {
        // Whoever has read enough, as in `… | head`, does not want to know more.
        return Ok(());
    }
    if args.json && !args.follow && !failures.are_all() {
        context.ui.json(&view.list.into());
    }
    failures.sum_up("logs")
}

/// How lines are shown.
struct View<'v> {
    context: &'v Context<'v>,
    args: &'v LogsArgs,
    releases: &'v [Selected],
    details: BTreeSet<Detail>,
    /// The names of the hosts, as wide as one another; none where there is only one host.
    hosts: Vec<String>,
    /// What is shown as JSON when all is there.
    list: Vec<serde_json::Value>,
}

impl<'v> View<'v> {
    fn new(context: &'v Context<'v>, args: &'v LogsArgs, releases: &'v [Selected]) -> Self {
        let names = releases.iter().map(|release| release.host.name.as_str());
        let width = names.clone().map(str::len).max().unwrap_or(0);
        let hosts = names.map(|name| format!("{name:width$}"));
        Self {
            context,
            args,
            releases,
            details: args.details.iter().copied().collect(),
            hosts: match releases.len() {
                0 | 1 => Vec::new(),
                _ => hosts.collect(),
            },
            list: Vec::new(),
        }
    }

    /// Shows what was there, as far as it is wanted: each host gave as many lines as are wanted of all. False when the
    /// reader has gone before.
    fn show_present(&mut self, lines: Merged) -> bool {
        let count = usize::try_from(self.args.limit.unsigned_abs()).unwrap_or(usize::MAX);
        let mut last = VecDeque::new();
        // What is not wanted is taken as well: what is followed comes behind it.
        for (place, line) in lines.enumerate() {
            match self.args.limit {
                0 => self.show(line),
                1.. if place < count => self.show(line),
                1.. => {}
                _ => {
                    last.push_back(line);
                    last.drain(..last.len().saturating_sub(count));
                }
            }
            if !self.is_heard() {
                return false;
            }
        }
        last.into_iter().for_each(|line| self.show(line));
        self.is_heard()
    }

    /// Shows what comes, until all hosts have ended. False when the reader has gone before.
    fn show_news(&mut self, news: &Receiver<(usize, News)>, failures: &mut Failures<'_>) -> bool {
        let mut open: BTreeSet<usize> = (0..self.releases.len()).collect();
        while let Ok(first) = news.recv() {
            let (mut lines, mut ended) = (Vec::new(), Vec::new());
            // What has come at the same time is put into order.
            for (number, news) in std::iter::once(first).chain(news.try_iter().take(LINES_MAX)) {
                match news {
                    News::Line(line) => lines.push((number, line)),
                    News::Ended(outcome) => ended.push((number, outcome)),
                }
            }
            lines.sort_by_key(|(_, line)| line.place());
            lines.into_iter().for_each(|line| self.show(line));
            for (number, outcome) in ended {
                open.remove(&number);
                if let (Some(release), Err(error)) = (self.releases.get(number), outcome) {
                    failures.add(release, error);
                }
            }
            if !self.is_heard() {
                return false;
            }
        }
        for release in open.iter().filter_map(|number| self.releases.get(*number)) {
            let died = format!("{release}: the thread that asked for its logs died");
            failures.add(release, CommandError::new(Kind::Internal, died));
        }
        true
    }

    fn is_heard(&self) -> bool {
        self.context.ui.is_heard()
    }

    fn show(&mut self, (number, line): (usize, Line)) {
        let ui = self.context.ui;
        if self.args.json {
            let line = self
                .releases
                .get(number)
                .map(|release| as_json(release, &line));
            match self.args.follow {
                true => line.iter().for_each(|line| ui.result(&line.to_string())),
                false => self.list.extend(line),
            }
            return;
        }
        let mut parts = Vec::new();
        parts.extend(self.hosts.get(number).map(|name| Part::Host(number, name)));
        let now = self.context.environment.now;
        parts.extend(logs::show(&line, &self.details, now));
        ui.parts(&parts);
    }
}

fn as_json(release: &Selected, line: &Line) -> serde_json::Value {
    json!({
        "host": release.host.name,
        "release": release.id,
        "unit": line.unit,
        "stream": line.stream.as_str(),
        "seconds": line.seconds,
        "index": line.index,
        "text": line.text,
    })
}
