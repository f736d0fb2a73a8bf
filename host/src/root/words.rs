//! What workers write about themselves, on their standard error.
//!
//! A worker belongs to a user, so it never gets a terminal or a file of root's: it writes into the journal,
//! which knows who writes, or into a pipe whose lines root's daemon writes into its own log: each with the home that it
//! comes from, and no more of them than somebody could read.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::Instant;

use crate::log::{Level, Log};

/// A longer line becomes several.
const LINE_MAX: u64 = 8_192;
/// So many lines of one worker are written down in each `SPAN`; root's disk must not fill with the rest.
const LINES_MAX: u32 = 100;
const SPAN: Duration = Duration::from_secs(1);

/// What a worker gets as standard error.
pub(super) fn way(log: Log) -> Stdio {
    if log.is_journal() {
        Stdio::inherit()
    } else {
        Stdio::piped()
    }
}

/// Writes down what the worker of this home says until nobody is left who could say something.
pub(super) async fn pass_on(stream: impl AsyncRead + Unpin, home: String, log: Log) {
    let mut stream = BufReader::new(stream);
    let mut share = Share::new(Instant::now());
    while let Some(line) = next(&mut stream).await {
        let now = Instant::now();
        report(share.begin(now), &home, log);
        if share.takes() {
            let (level, text) = parse(&line);
            log.line(level, of_home(&home, text));
        }
    }
    report(share.left_out(), &home, log);
}

fn report(left_out: u32, home: &str, log: Log) {
    if left_out > 0 {
        log.warn(format_args!(
            "{home}: its worker wrote more than {LINES_MAX} lines in a second: {left_out} were left out"
        ));
    }
}

/// The line with the home that it comes from. A worker names that mostly, but it may say what it likes.
fn of_home(home: &str, text: &str) -> String {
    let own = text
        .strip_prefix(home)
        .and_then(|rest| rest.strip_prefix(": "));
    format!("{home}: {}", own.unwrap_or(text))
}

/// How many lines of one worker there were in this span of time.
struct Share {
    begin: Instant,
    lines: u32,
}

impl Share {
    fn new(begin: Instant) -> Self {
        Self { begin, lines: 0 }
    }

    /// Begins a new span when it is time to; then gives how many lines were left out in the one before.
    fn begin(&mut self, now: Instant) -> u32 {
        if now.duration_since(self.begin) < SPAN {
            return 0;
        }
        let left_out = self.left_out();
        *self = Self::new(now);
        left_out
    }

    /// True when one more line is written down.
    fn takes(&mut self) -> bool {
        self.lines = self.lines.saturating_add(1);
        self.lines <= LINES_MAX
    }

    fn left_out(&self) -> u32 {
        self.lines.saturating_sub(LINES_MAX)
    }
}

async fn next(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    let read = stream.take(LINE_MAX).read_until(b'\n', &mut line).await;
    read.ok().filter(|read| *read > 0)?;
    let text = String::from_utf8_lossy(&line);
    // A terminal would obey what is no text.
    Some(text.trim_end().replace(char::is_control, " "))
}

/// A line of a log, or of something else that should not be there.
fn parse(line: &str) -> (Level, &str) {
    [Level::Error, Level::Warn, Level::Info, Level::Debug]
        .into_iter()
        .find_map(|level| {
            let text = line.strip_prefix(level.tag())?.strip_prefix(' ')?;
            Some((level, text))
        })
        .unwrap_or((Level::Warn, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_level() {
        let check = |line: &str, level, text: &str| assert_eq!(parse(line), (level, text));
        check("[ERROR] /home/a: no", Level::Error, "/home/a: no");
        check("[INFO] /home/a: yes", Level::Info, "/home/a: yes");
        check("[LOUD] yes", Level::Warn, "[LOUD] yes");
        check("thread 'main' has", Level::Warn, "thread 'main' has");
    }

    #[test]
    fn each_line_says_whose_it_is() {
        let check = |text: &str, expected: &str| assert_eq!(of_home("/home/a", text), expected);
        check("/home/a: no", "/home/a: no");
        check("/home/b: no", "/home/a: /home/b: no");
        check("/home/ab: no", "/home/a: /home/ab: no");
        check("", "/home/a: ");
    }

    #[test]
    fn a_loud_worker_does_not_fill_the_log() {
        let begin = Instant::now();
        let mut share = Share::new(begin);
        let taken = |share: &mut Share| (0..1_000).filter(|_| share.takes()).count();
        assert_eq!(share.begin(begin), 0);
        assert_eq!(taken(&mut share), 100);
        assert_eq!(share.begin(begin + SPAN / 2), 0);
        assert_eq!(taken(&mut share), 0);
        assert_eq!(share.begin(begin + SPAN), 1_900);
        assert_eq!(share.left_out(), 0);
        assert_eq!(taken(&mut share), 100);
        assert_eq!(share.left_out(), 900);
    }

    #[tokio::test]
    async fn lines_are_bounded_and_nothing_but_text() {
        let long = "x".repeat(20_000);
        let text = format!("[INFO] a\n\x1b]0;title\x07b\u{9b}c\n{long}\nend");
        let mut stream = BufReader::new(text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = next(&mut stream).await {
            lines.push(line);
        }
        let lengths: Vec<usize> = lines.iter().skip(2).map(String::len).collect();
        assert_eq!(lines[..2], ["[INFO] a", " ]0;title b c"]);
        assert_eq!(lengths, [8_192, 8_192, 3_616, 3]);
    }
}
