//! The output of the units of a pod, from all its hosts: what the program of each host says about its lines, their
//! order, and how a line is shown. The hosts read the files.

mod merge;
mod source;

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;

pub(crate) use merge::Merged;
pub(crate) use source::{Asker, LINES_MAX, News};

use crate::ui::Part;

/// Where a unit wrote a line.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum, Deserialize,
)]
#[serde(rename_all = "lowercase")]
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

/// One line of a log, as `simplenetesd pod FILE logs --json` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Line {
    /// When it was written, in seconds since 1970.
    pub(crate) seconds: i64,
    /// Its number inside that second.
    pub(crate) index: u64,
    /// The unit, or `<pod>` for the pod's own log.
    pub(crate) unit: String,
    /// The stream.
    pub(crate) stream: Stream,
    /// What was written.
    pub(crate) text: String,
}

impl Line {
    /// Lines are shown in this order.
    pub(crate) fn place(&self) -> (i64, u64) {
        (self.seconds, self.index)
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

/// One line as it is shown.
pub(crate) fn show<'l>(
    line: &'l Line,
    details: &BTreeSet<Detail>,
    now: Timestamp,
) -> Vec<Part<'l>> {
    let mut parts = Vec::new();
    if !details.contains(&Detail::None) {
        parts.extend(details.iter().filter_map(|detail| match detail {
            Detail::Ts => Some(Part::Plain(time(line.seconds).into())),
            Detail::Age => {
                let age = now.as_second().saturating_sub(line.seconds);
                Some(Part::Plain(format!("{age}s").into()))
            }
            Detail::Name => Some(Part::Unit(visible(&line.unit))),
            Detail::Stream => Some(Part::Plain(line.stream.as_str().into())),
            Detail::None => None,
        }));
    }
    parts.push(Part::Plain(visible(&line.text)));
    parts
}

/// Control characters that somebody else wrote do not reach the terminal, except tabs.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| c.is_control() && c != '\t';
    match text.contains(is_hidden) {
        true => text.replace(is_hidden, "\u{fffd}").into(),
        false => text.into(),
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_and_control_characters() {
        let now = Timestamp::from_second(1_700_000_009).unwrap();
        let line = Line {
            seconds: 1_700_000_000,
            index: 0,
            unit: "main".into(),
            stream: Stream::Stdout,
            text: "a\u{1b}[31m\tb".into(),
        };
        let shown = |details: &[Detail]| {
            let parts = show(&line, &details.iter().copied().collect(), now);
            let words: Vec<String> = parts.iter().map(|part| part.text().to_owned()).collect();
            words.join(" ")
        };
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
