//! What the daemon says about itself: plain lines on standard error, `[INFO] web:1.0.0: …`.
//!
//! In the journal of systemd a line begins with its priority, as sd-daemon(3) describes, and without a
//! name of the level. The level comes from `SNS_LOG_LEVEL` (error, warn, info, debug); colour only on a terminal. The
//! output of units goes elsewhere (`shim::log`).

use std::fmt;
use std::io::{self, IsTerminal, Write};

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something the operator must see to.
    Error,
    /// Something that may become one.
    Warn,
    /// What the daemon does.
    Info,
    /// Why.
    Debug,
}

impl Level {
    /// The names, for people.
    pub const NAMES: &str = "error, warn, info or debug";

    /// True when there is a level of that name; no name at all means the default.
    #[must_use]
    pub fn is_known(name: &str) -> bool {
        ["", "error", "warn", "info", "debug"].contains(&name.to_ascii_lowercase().as_str())
    }

    /// The level of that name; `info` for none and for one that is unknown.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        match text.map(str::to_ascii_lowercase).as_deref() {
            Some("error") => Self::Error,
            Some("warn") => Self::Warn,
            Some("debug") => Self::Debug,
            Some(_) | None => Self::Info,
        }
    }

    /// The priority that the journal of systemd knows.
    fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warn => 4,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }

    /// What a line of this level begins with, except in the journal.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Error => "[ERROR]",
            Self::Warn => "[WARN]",
            Self::Info => "[INFO]",
            Self::Debug => "[DEBUG]",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Error => "\x1b[31m",
            Self::Warn => "\x1b[33m",
            Self::Info => "\x1b[32m",
            Self::Debug => "\x1b[36m",
        }
    }
}

/// Where lines go and which are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    level: Level,
    style: Style,
    about: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Colour,
    Journal,
}

impl Style {
    fn of_stderr() -> Self {
        if io::stderr().is_terminal() {
            return Self::Colour;
        }
        let stream = std::env::var("JOURNAL_STREAM").ok();
        let stderr = rustix::fs::fstat(io::stderr()).ok();
        // Whoever redirects standard error leaves the variable as it is.
        match (stream, stderr) {
            (Some(stream), Some(stderr))
                if stream == format!("{}:{}", stderr.st_dev, stderr.st_ino) =>
            {
                Self::Journal
            }
            _ => Self::Plain,
        }
    }

    fn line(self, level: Level, text: &str) -> String {
        let (tag, colour) = (level.tag(), level.colour());
        match self {
            Self::Plain => format!("{tag} {text}\n"),
            Self::Colour => format!("{colour}{tag}\x1b[0m {text}\n"),
            // A second line would have no priority.
            Self::Journal => format!("<{}>{}\n", level.priority(), text.replace('\n', " ")),
        }
    }
}

impl Log {
    /// A log on standard error.
    #[must_use]
    pub fn new(level: Level) -> Self {
        Self {
            level,
            style: Style::of_stderr(),
            about: "",
        }
    }

    /// The same log, whose lines begin with a text: one of several processes that write to one place. It
    /// is for the whole life of the process, and kept as long.
    #[must_use]
    pub fn about(self, text: &str) -> Self {
        Self {
            about: format!("{text}: ").leak(),
            ..self
        }
    }

    /// True when lines go into the journal of systemd.
    #[must_use]
    pub fn is_journal(&self) -> bool {
        self.style == Style::Journal
    }

    /// Writes one line if it is wanted. A reader that is gone is no reason to stop.
    pub fn line(&self, level: Level, text: impl fmt::Display) {
        if level > self.level {
            return;
        }
        let line = self.style.line(level, &format!("{}{text}", self.about));
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    /// See [`Level::Error`].
    pub fn error(&self, text: impl fmt::Display) {
        self.line(Level::Error, text);
    }

    /// See [`Level::Warn`].
    pub fn warn(&self, text: impl fmt::Display) {
        self.line(Level::Warn, text);
    }

    /// See [`Level::Info`].
    pub fn info(&self, text: impl fmt::Display) {
        self.line(Level::Info, text);
    }

    /// See [`Level::Debug`].
    pub fn debug(&self, text: impl fmt::Display) {
        self.line(Level::Debug, text);
    }
}

/// An error with its causes, for a place that has one line.
#[must_use]
pub fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line.replace(char::is_control, " ")
}

/// A longer complaint of a program is told without the way that led to its cause.
const COMPLAINT_CHARS_MAX: usize = 100;

/// The line in which a program says why it failed: the last one that begins with `Error:`, else the last. Of a
/// block of several errors the first is the cause, and the others follow from it.
#[must_use]
pub fn complaint_in(text: &str) -> Option<&str> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let last = lines.clone().next_back()?;
    let Some(error) = lines.rfind(|line| line.starts_with("Error: ")) else {
        return Some(last);
    };
    if !error.ends_with("occurred:") {
        return Some(error);
    }
    let mut behind = text.lines().skip_while(|line| *line != error).skip(1);
    let first = behind.find_map(|line| line.trim_start().strip_prefix("* "));
    Some(first.unwrap_or(error))
}

/// Behind the cause podman names the kind of it once more.
const KINDS_OF_FAILURE: [&str; 2] = [
    ": OCI runtime attempted to invoke a command that was not found",
    ": OCI permission denied",
];

/// What a program said of its failure, short enough for one line of `ps`: without the word `Error`, and when it
/// is long without what stands before its cause, which programs name last, behind colons.
#[must_use]
pub fn complaint(line: &str) -> String {
    let line = line.trim();
    let line = line.strip_prefix("Error: ").unwrap_or(line);
    let mut kinds = KINDS_OF_FAILURE.iter();
    let line = kinds
        .find_map(|kind| line.strip_suffix(kind))
        .unwrap_or(line);
    let mut kept = line;
    while kept.chars().count() > COMPLAINT_CHARS_MAX {
        let Some((_, rest)) = kept.split_once(": ") else {
            break;
        };
        kept = rest;
    }
    if kept.len() < line.len() {
        format!("… {kept}")
    } else {
        kept.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_and_an_order() {
        assert_eq!(Level::parse(Some("WARN")), Level::Warn);
        assert_eq!(Level::parse(Some("loud")), Level::Info);
        assert_eq!(Level::parse(None), Level::Info);
        assert!(Level::is_known("Warn") && !Level::is_known("loud"));
        assert!(Level::Error < Level::Debug);
    }

    #[test]
    fn a_line_in_each_style() {
        let check = |style: Style, expected| assert_eq!(style.line(Level::Warn, "a\nb"), expected);
        check(Style::Plain, "[WARN] a\nb\n");
        check(Style::Colour, "\x1b[33m[WARN]\x1b[0m a\nb\n");
        check(Style::Journal, "<4>a b\n");
    }

    #[test]
    fn the_line_that_says_why() {
        let check = |text, expected| assert_eq!(complaint_in(text), expected);
        check("", None);
        check("one\ntwo\n\n", Some("two"));
        check("Error: no such pod\nbye\n", Some("Error: no such pod"));
        check(
            "Error: 2 errors occurred:\n\t* container is wedged\n\t* it has dependents\n\n",
            Some("container is wedged"),
        );
    }

    #[test]
    fn of_a_long_complaint_the_cause_is_left() {
        let check = |line, expected: &str| assert_eq!(complaint(line), expected);
        check("Error: no such pod", "no such pod");
        check("permission denied", "permission denied");
        check(
            "Error: initializing source docker://127.0.0.1:5000/team/app:1: reading manifest 1 in 127.0.0.1:5000/team/app: unauthorized: authentication required",
            "… reading manifest 1 in 127.0.0.1:5000/team/app: unauthorized: authentication required",
        );
        check(
            "Error: runc: runc create failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found",
            "… unable to start container process: exec: \"nosuch\": executable file not found in $PATH",
        );
        let word = "x".repeat(200);
        check(&word, &word);
    }
}
