//! The output of the units of a release: which lines are shown, in which order, with which details. Pure;
//! `logs/files.rs` reads.
//!
//! A line on disk is `UNIXSECONDS INDEX text`; INDEX counts the lines inside one second.

mod files;

use std::collections::BTreeSet;

use jiff::Timestamp;

pub(crate) use files::{LogFile, find};

/// Where a unit wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What is shown in front of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub(crate) enum Detail {
    /// When it was written.
    Ts,
    /// How long ago that was.
    Age,
    /// The unit.
    Name,
    /// The stream.
    Stream,
    /// Nothing.
    None,
}

impl Detail {
    /// Its word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ts => "ts",
            Self::Age => "age",
            Self::Name => "name",
            Self::Stream => "stream",
            Self::None => "none",
        }
    }
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    /// When it was written, in seconds since 1970.
    pub(crate) seconds: i64,
    /// Its number inside that second.
    pub(crate) index: u64,
    /// The unit, or `<pod>` for the pod's own log.
    pub(crate) name: String,
    /// The stream.
    pub(crate) stream: Stream,
    /// What was written.
    pub(crate) text: String,
}

/// Which lines are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// From this time on: seconds since 1970, or seconds back from now when negative.
    pub(crate) since: i64,
    /// The first lines, or the last ones when negative; 0 is all.
    pub(crate) limit: i64,
}

impl Filter {
    /// The first second that is shown.
    pub(crate) fn begin(&self, now: Timestamp) -> i64 {
        if self.since < 0 {
            now.as_second().saturating_add(self.since)
        } else {
            self.since
        }
    }
}

impl Stream {
    /// The word in file names and in output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Reads one line of a log file; a line of another form is shown as it is, at the time of its neighbour.
pub(crate) fn parse(text: &str, name: &str, stream: Stream, former: Option<&Line>) -> Line {
    let mut parts = text.splitn(3, ' ');
    let seconds = parts.next().and_then(|word| word.parse().ok());
    let index = parts.next().and_then(|word| word.parse().ok());
    let (name, foreign) = (name.to_owned(), text);
    match (seconds, index, parts.next()) {
        (Some(seconds), Some(index), text) => Line {
            seconds,
            index,
            name,
            stream,
            text: text.unwrap_or_default().to_owned(),
        },
        _ => {
            let (seconds, index) = former.map_or((0, 0), |line| (line.seconds, line.index));
            Line {
                seconds,
                index,
                name,
                stream,
                text: foreign.to_owned(),
            }
        }
    }
}

/// The lines that are shown, in order of time.
pub(crate) fn select(mut lines: Vec<Line>, filter: &Filter, now: Timestamp) -> Vec<Line> {
    let since = filter.begin(now);
    lines.retain(|line| line.seconds >= since);
    lines.sort_by_key(|line| (line.seconds, line.index));
    let count = usize::try_from(filter.limit.unsigned_abs()).unwrap_or(usize::MAX);
    if filter.limit > 0 {
        lines.truncate(count);
    } else if filter.limit < 0 {
        lines.drain(..lines.len().saturating_sub(count));
    }
    lines
}

/// One line as it is shown. Control characters of the unit do not reach the terminal, except tabs.
pub(crate) fn show(line: &Line, details: &BTreeSet<Detail>, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if !details.contains(&Detail::None) {
        for detail in details {
            match detail {
                Detail::Ts => parts.push(time(line.seconds)),
                Detail::Age => {
                    parts.push(format!("{}s", now.as_second().saturating_sub(line.seconds)));
                }
                Detail::Name => parts.push(line.name.clone()),
                Detail::Stream => parts.push(line.stream.as_str().to_owned()),
                Detail::None => {}
            }
        }
    }
    parts.push(
        line.text
            .chars()
            .map(|c| {
                if c.is_control() && c != '\t' {
                    '\u{fffd}'
                } else {
                    c
                }
            })
            .collect(),
    );
    parts.join(" ")
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seconds: i64, index: u64, text: &str) -> Line {
        Line {
            seconds,
            index,
            name: "main".into(),
            stream: Stream::Stdout,
            text: text.into(),
        }
    }

    fn check(since: i64, limit: i64, expected: &[&str]) {
        let now = Timestamp::from_second(100).unwrap();
        let lines = vec![
            line(90, 1, "c"),
            line(90, 0, "b"),
            line(80, 0, "a"),
            line(99, 0, "d"),
        ];
        let selected = select(lines, &Filter { since, limit }, now);
        let texts: Vec<&str> = selected.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, expected, "since {since}, limit {limit}");
    }

    #[test]
    fn order_time_and_limit() {
        check(0, 0, &["a", "b", "c", "d"]);
        check(90, 0, &["b", "c", "d"]);
        check(-5, 0, &["d"]);
        check(0, 2, &["a", "b"]);
        check(0, -2, &["c", "d"]);
        check(0, -9, &["a", "b", "c", "d"]);
    }

    #[test]
    fn lines_of_the_format_and_others() {
        let first = parse("1700000000 3 hello  world", "main", Stream::Stderr, None);
        assert_eq!(
            (first.seconds, first.index, first.text.as_str()),
            (1_700_000_000, 3, "hello  world")
        );
        let torn = parse("half a line", "main", Stream::Stderr, Some(&first));
        assert_eq!(
            (torn.seconds, torn.text.as_str()),
            (1_700_000_000, "half a line")
        );
        assert_eq!(parse("1700000000 4", "main", Stream::Stdout, None).text, "");
    }

    #[test]
    fn details_and_control_characters() {
        let now = Timestamp::from_second(1_700_000_009).unwrap();
        let line = line(1_700_000_000, 0, "a\u{1b}[31m\tb");
        let shown = |details: &[Detail]| show(&line, &details.iter().copied().collect(), now);
        assert_eq!(
            shown(&[Detail::Ts, Detail::Name]),
            "2023-11-14T22:13:20Z main a\u{fffd}[31m\tb"
        );
        assert_eq!(
            shown(&[Detail::Age, Detail::Stream]),
            "9s stdout a\u{fffd}[31m\tb"
        );
        assert_eq!(shown(&[Detail::None]), "a\u{fffd}[31m\tb");
    }
}
