//! The terminal: what is printed, how, and how much room there is. Events go to stderr, results to stdout.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use anstream::AutoStream;
use anyhow::Context as _;
use serde_json::{Map, Value, json};
use sns_proxy::{Event, Level, Reporter};

/// Home, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A level and a sentence.
    Text,
    /// One JSON object for each line.
    Json,
}

impl LogFormat {
    /// As `LOG_FORMAT` says it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Writes events that matter that much to stderr.
pub(crate) fn reporter(level: Level, format: LogFormat) -> Reporter {
    Arc::new(move |event: &Event| {
        if event.level() > level {
            return;
        }
        let line = match format {
            LogFormat::Text => format!("{}: {event}\n", event.level()),
            LogFormat::Json => format!("{}\n", record(event, now())),
        };
        // In one piece, because two processes may write to the same log.
        eprint!("{line}");
    })
}

/// An event as one line.
fn record(event: &Event, at: SystemTime) -> Value {
    dated(event.to_json(), at)
}

fn dated(mut record: Map<String, Value>, at: SystemTime) -> Value {
    // A clock before the year -9999 or after 9999 is no clock.
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    record.insert("ts".into(), format!("{at:.6}").into());
    record.into()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a record of an event says when it was; nothing is decided by it"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Says why the program did not do what it was asked for.
pub(crate) fn failure(error: &anyhow::Error, format: LogFormat) {
    match format {
        LogFormat::Text => eprintln!("{error:#}"),
        LogFormat::Json => {
            let message = format!("{error:#}");
            let record = json!({ "level": "error", "event": "failed", "message": message });
            if let Value::Object(record) = record {
                eprintln!("{}", dated(record, now()));
            }
        }
    }
}

/// Prints a result. Colours in it are only shown on a terminal; whoever has read enough of it may leave.
pub(crate) fn result(text: &str) -> anyhow::Result<()> {
    match AutoStream::auto(io::stdout()).write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to the standard output"),
    }
}

/// Prints a text in the place of the one before.
pub(crate) fn page(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout();
    let plain = AutoStream::choice(&out) == anstream::ColorChoice::Never;
    let text = if plain {
        anstream::adapter::strip_str(text).to_string()
    } else {
        text.to_owned()
    };
    out.write_all(format!("{CLEAR}{text}").as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to the terminal")
}

/// Whether somebody looks at the result.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// How many lines and columns the terminal has.
pub(crate) fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => (24, 80),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn records_have_a_time() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_796_000_000_000_250);
        let expected = "{\"count\":3,\"event\":\"draining\",\"level\":\"info\",\"message\":\"ending: waiting for 3 \
                        open connections\",\"ts\":\"2026-11-30T00:53:20.000250Z\"}";
        let found = record(&Event::Draining(3), at);
        assert_eq!(found.to_string(), expected);
    }
}
