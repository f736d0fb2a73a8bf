//! `logs`: what the units of a pod have written, all streams merged in the order of time, including the
//! files that were put aside. A pod that is a program of its own is not asked: its units are those that have logs.

mod units;

use std::fs;
use std::path::{Path, PathBuf};

use hostfiles::ReleaseDir;
use names::{ReleaseId, UnitName};

use super::{PodError, PodFile, no_unit};
use crate::foreign::is_program;

/// What units have to write to.
const STREAMS: [&str; 2] = ["stdout", "stderr"];
/// The name under which the pod's own log is shown; no unit can be called so.
pub(super) const POD: &str = "<pod>";

/// Which lines are shown, and how.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogsArgs {
    /// Only these units; all and the pod's own log, shown as `<pod>`, when none is named
    pub units: Vec<String>,
    /// Show the pod's own log: what was done to it; without units only that
    #[arg(short = 'p', long)]
    pub daemon_process: bool,
    /// Go on with what is written from now on, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// Show what was written since this Unix time; a negative number counts seconds back from now
    #[arg(
        short = 't',
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub timestamp: i64,
    /// Show so many lines: the first, or with a negative number the last; 0 shows all
    #[arg(
        short,
        long,
        value_name = "LINES",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub limit: i64,
    /// Show these streams
    #[arg(short, long, value_delimiter = ',', default_values = STREAMS, value_parser = STREAMS)]
    pub stream: Vec<String>,
    /// Show this before each line
    #[arg(short, long, value_delimiter = ',', default_values = ["ts", "name"], value_parser = ["ts", "age", "name", "stream", "none"])]
    pub details: Vec<String>,
    /// As JSON, a line for each, for programs; with --follow `{}` stands behind what was there already
    #[arg(long, conflicts_with = "details")]
    pub json: bool,
}

/// How lines are written.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    /// With these details before each.
    Text(&'a [String]),
    /// As JSON.
    Json,
}

impl LogsArgs {
    pub(super) fn form(&self) -> Form<'_> {
        match self.json {
            true => Form::Json,
            false => Form::Text(&self.details),
        }
    }
}

/// The logs of one release.
#[derive(Debug)]
pub struct Logs {
    release: ReleaseDir,
    id: ReleaseId,
    units: Vec<UnitName>,
}

pub(super) struct Line<'a> {
    pub(super) second: u64,
    pub(super) index: u64,
    pub(super) unit: &'a str,
    pub(super) stream: &'a str,
    text: Vec<u8>,
}

impl Logs {
    /// Those of the release that this is the pod of.
    ///
    /// # Errors
    /// There is no pod.
    pub fn open(file: PathBuf) -> Result<Self, PodError> {
        if is_program(&file) {
            return units::of_program(file);
        }
        let PodFile { pod, release } = PodFile::open(file)?;
        Ok(Self {
            release,
            id: pod.release(),
            units: pod.units.into_iter().map(|unit| unit.name).collect(),
        })
    }

    /// The lines, each with a line end.
    ///
    /// # Errors
    /// A unit is named that the pod does not have.
    pub fn show(&self, args: &LogsArgs, now_s: u64) -> Result<Vec<u8>, PodError> {
        self.select(args, now_s, |_| true)
    }

    /// The same of these lines alone.
    pub(super) fn select(
        &self,
        args: &LogsArgs,
        now_s: u64,
        counts: impl Fn(&Line<'_>) -> bool,
    ) -> Result<Vec<u8>, PodError> {
        let since = match u64::try_from(args.timestamp) {
            Ok(since) => since,
            Err(_) => now_s.saturating_sub(args.timestamp.unsigned_abs()),
        };
        let mut lines = Vec::new();
        for (unit, stream) in self.streams(args)? {
            self.read_stream(unit, stream, since, &mut lines);
        }
        lines.retain(|line| line.second >= since && counts(line));
        lines.sort_by_key(|line| (line.second, line.index));
        let count = usize::try_from(args.limit.unsigned_abs()).unwrap_or(usize::MAX);
        let shown: &[Line<'_>] = match args.limit {
            0 => &lines,
            1.. => lines.get(..count).unwrap_or(&lines),
            _ => lines
                .get(lines.len().saturating_sub(count)..)
                .unwrap_or(&lines),
        };
        let mut out = Vec::new();
        for line in shown {
            write_line(&mut out, line, args.form(), now_s);
        }
        Ok(out)
    }

    /// The streams that are wanted; one without a unit is the pod's own.
    pub(super) fn streams<'a>(
        &'a self,
        args: &'a LogsArgs,
    ) -> Result<Vec<(Option<&'a UnitName>, &'a str)>, PodError> {
        let mut units: Vec<Option<&UnitName>> = Vec::new();
        for name in &args.units {
            let unit = Some(self.unit(name)?);
            // A name that is said twice does not make two lines of one.
            if !units.contains(&unit) {
                units.push(unit);
            }
        }
        if args.units.is_empty() && !args.daemon_process {
            units.extend(self.units.iter().map(Some));
        }
        if args.units.is_empty() || args.daemon_process {
            units.push(None);
        }
        let wanted = |stream: &&str| args.stream.iter().any(|wanted| wanted == stream);
        let streams: Vec<&str> = STREAMS.into_iter().filter(wanted).collect();
        let pairs = units
            .into_iter()
            .flat_map(|unit| streams.iter().map(move |stream| (unit, *stream)));
        Ok(pairs.collect())
    }

    fn unit(&self, name: &str) -> Result<&UnitName, PodError> {
        let found = self.units.iter().find(|unit| unit.as_str() == name);
        found.ok_or_else(|| no_unit(&self.id, name, &self.units))
    }

    /// The log file of a unit, or of the pod itself.
    pub(super) fn log_file(&self, unit: Option<&UnitName>, stream: &str) -> PathBuf {
        self.release.log_dir().join(self.log_name(unit, stream))
    }

    fn log_name(&self, unit: Option<&UnitName>, stream: &str) -> String {
        let own = format!("{}-{}-{stream}.log", self.id.pod, self.id.version);
        unit.map_or_else(|| own.clone(), |unit| format!("{unit}-{own}"))
    }

    /// The log of a unit, or of the pod itself.
    fn read_stream<'a>(
        &'a self,
        unit: Option<&'a UnitName>,
        stream: &'a str,
        since: u64,
        lines: &mut Vec<Line<'a>>,
    ) {
        let name = self.log_name(unit, stream);
        let unit = unit.map_or(POD, UnitName::as_str);
        for file in files(&self.release.log_dir(), &name, since) {
            let Ok(content) = fs::read(file) else {
                continue;
            };
            lines.extend(
                content
                    .split(|byte| *byte == b'\n')
                    .filter_map(|line| parse(line, unit, stream)),
            );
        }
    }
}

/// The log file and those that were put aside before it, but for those in which every line is older than `since`.
fn files(directory: &Path, name: &str, since: u64) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let belongs = |file: &str| {
        let end = file.strip_prefix(name)?;
        let put_aside = || end.strip_prefix('.')?.parse::<u64>().ok();
        (end.is_empty() || put_aside()? >= since).then_some(())
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().and_then(belongs).is_some())
        .map(|entry| entry.path())
        .collect()
}

/// A line is `UNIXSECONDS INDEX text`; a torn one is left out.
pub(super) fn parse<'a>(line: &[u8], unit: &'a str, stream: &'a str) -> Option<Line<'a>> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
    let (second, index) = (number()?, number()?);
    Some(Line {
        second,
        index,
        unit,
        stream,
        text: parts.next()?.to_vec(),
    })
}

pub(super) fn write_line(out: &mut Vec<u8>, line: &Line<'_>, form: Form<'_>, now_s: u64) {
    let details = match form {
        Form::Text(details) => details,
        Form::Json => {
            let line = serde_json::json!({
                "seconds": line.second,
                "index": line.index,
                "unit": line.unit,
                "stream": line.stream,
                "text": String::from_utf8_lossy(&line.text),
            });
            out.extend_from_slice(format!("{line}\n").as_bytes());
            return;
        }
    };
    for detail in details {
        let text = match detail.as_str() {
            "ts" => line.second.to_string(),
            "age" => format!("{}s", now_s.saturating_sub(line.second)),
            "name" => line.unit.to_string(),
            "stream" => line.stream.to_owned(),
            _ => continue,
        };
        out.extend_from_slice(text.as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(&line.text);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(files: &[(&str, &str)]) -> (tempfile::TempDir, Logs) {
        let folder = tempfile::tempdir().unwrap();
        let pod = format!(
            "{}\nformat: 1\npod: web\npodVersion: 1.0.0\nruntime: native\nunits: [{{name: main}}, {{name: side}}]\n",
            podspec::FIRST_LINE
        );
        hostfiles::replace(&folder.path().join("pod"), pod.as_bytes(), 0o755).unwrap();
        fs::create_dir(folder.path().join("log")).unwrap();
        for (name, text) in files {
            hostfiles::replace(
                &folder.path().join("log").join(name),
                text.as_bytes(),
                0o600,
            )
            .unwrap();
        }
        let pod = Logs::open(folder.path().join("pod")).unwrap();
        (folder, pod)
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut LogsArgs), expected: &str) {
        let (_folder, pod) = pod(&[
            ("main-web-1.0.0-stdout.log.90", "80 0 old\n"),
            (
                "main-web-1.0.0-stdout.log",
                "100 0 a\n100 1 b\n102 0 e\ntorn",
            ),
            ("main-web-1.0.0-stderr.log", "101 0 c\n"),
            ("side-web-1.0.0-stdout.log", "101 1 d d\n"),
            ("main-web-1.0.0-stdout.log.tmp", "100 0 foreign\n"),
            ("web-1.0.0-stdout.log", "103 0 p\n"),
            ("web-1.0.0-stdout.log.85", "81 0 q\n"),
            ("web-1.0.0-stderr.log", "104 0 r\n"),
        ]);
        let all = || vec!["stdout".to_owned(), "stderr".to_owned()];
        let mut args = LogsArgs {
            stream: all(),
            details: vec!["none".into()],
            ..LogsArgs::default()
        };
        change(&mut args);
        let text = String::from_utf8(pod.show(&args, 110).unwrap()).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>().join(","), expected);
    }

    #[test]
    fn units_and_the_log_of_the_pod() {
        check(|_| {}, "old,q,a,b,c,d d,e,p,r");
        check(|args| args.units = vec!["side".into()], "d d");
        check(
            |args| args.units = vec!["side".into(), "main".into(), "side".into()],
            "old,a,b,c,d d,e",
        );
        check(|args| args.daemon_process = true, "q,p,r");
        check(
            |args| {
                args.daemon_process = true;
                args.units = vec!["side".into()];
            },
            "q,d d,p,r",
        );
    }

    #[test]
    fn since_a_time_or_so_long_ago() {
        check(|args| args.timestamp = 102, "e,p,r");
        check(|args| args.timestamp = -9, "c,d d,e,p,r");
        check(|args| args.timestamp = -30, "old,q,a,b,c,d d,e,p,r");
        check(|args| args.timestamp = -1_000, "old,q,a,b,c,d d,e,p,r");
        check(|args| args.timestamp = 200, "");
        check(|args| args.timestamp = i64::MIN, "old,q,a,b,c,d d,e,p,r");
    }

    #[test]
    fn the_first_or_the_last_lines_of_all() {
        check(|args| args.limit = 2, "old,q");
        check(|args| args.limit = -2, "p,r");
        check(|args| args.limit = 20, "old,q,a,b,c,d d,e,p,r");
        check(|args| args.limit = -20, "old,q,a,b,c,d d,e,p,r");
        check(|args| args.limit = i64::MIN, "old,q,a,b,c,d d,e,p,r");
    }

    #[test]
    fn streams() {
        check(|args| args.stream = vec!["stderr".into()], "c,r");
        check(
            |args| args.stream = vec!["stdout".into()],
            "old,q,a,b,d d,e,p",
        );
        let twice = || vec!["stderr".into(), "stderr".into()];
        check(|args| args.stream = twice(), "c,r");
    }

    #[test]
    fn what_stands_before_a_line() {
        #[track_caller]
        fn described(details: &[&str], expected: &str) {
            let details = details.iter().map(|word| (*word).to_owned()).collect();
            check(|args| (args.limit, args.details) = (2, details), expected);
        }
        described(&["none"], "old,q");
        described(&["ts"], "80 old,81 q");
        described(&["age"], "30s old,29s q");
        described(&["name"], "main old,<pod> q");
        described(&["stream"], "stdout old,stdout q");
        described(&["ts", "name"], "80 main old,81 <pod> q");
        described(
            &["stream", "age", "name", "ts"],
            "stdout 30s main 80 old,stdout 29s <pod> 81 q",
        );
    }

    #[test]
    fn filters_narrow_one_another() {
        check(
            |args| {
                (args.timestamp, args.limit) = (-9, 2);
                args.stream = vec!["stdout".into()];
            },
            "d d,e",
        );
        check(
            |args| {
                (args.timestamp, args.limit) = (81, -1);
                (args.units, args.details) = (vec!["main".into()], vec!["name".into()]);
            },
            "main e",
        );
    }

    #[test]
    fn for_programs_each_line_is_an_object() {
        check(
            |args| (args.json, args.limit) = (true, 1),
            r#"{"index":0,"seconds":80,"stream":"stdout","text":"old","unit":"main"}"#,
        );
    }

    #[test]
    fn an_unknown_unit_is_named() {
        let (_folder, pod) = pod(&[]);
        let args = LogsArgs {
            units: vec!["mian".into()],
            ..LogsArgs::default()
        };
        assert_eq!(
            pod.show(&args, 0).unwrap_err().to_string(),
            "pod web:1.0.0 has no unit `mian`: expected main, side"
        );
    }
}
