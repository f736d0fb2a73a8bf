//! What workers write about themselves, on their standard error.
//!
//! A worker belongs to a user, so it never gets a terminal or a file of root's: it writes into the journal,
//! which knows who writes, or into a pipe whose lines root's daemon writes into its own log.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::log::{Level, Log};

/// A longer line becomes several.
const LINE_MAX: u64 = 8_192;

/// What a worker gets as standard error.
pub(super) fn way(log: Log) -> Stdio {
    if log.is_journal() {
        Stdio::inherit()
    } else {
        Stdio::piped()
    }
}

/// Writes down what a worker says until nobody is left who could say something.
pub(super) async fn pass_on(stream: impl AsyncRead + Unpin, log: Log) {
    let mut stream = BufReader::new(stream);
    while let Some(line) = next(&mut stream).await {
        let (level, text) = parse(&line);
        log.line(level, text);
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
