//! What the daemon says about itself: plain lines on standard error, `[INFO] web:1.0.0: …`.
//!
//! The level comes from `SNS_LOG_LEVEL` (error, warn, info, debug); colour only on a terminal. The
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

    fn tag(self) -> (&'static str, &'static str) {
        match self {
            Self::Error => ("[ERROR]", "\x1b[31m"),
            Self::Warn => ("[WARN]", "\x1b[33m"),
            Self::Info => ("[INFO]", "\x1b[32m"),
            Self::Debug => ("[DEBUG]", "\x1b[36m"),
        }
    }
}

/// Where lines go and which are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    level: Level,
    colour: bool,
}

impl Log {
    /// A log on standard error.
    #[must_use]
    pub fn new(level: Level) -> Self {
        Self {
            level,
            colour: io::stderr().is_terminal(),
        }
    }

    /// Writes one line if it is wanted. A reader that is gone is no reason to stop.
    pub fn line(&self, level: Level, text: impl fmt::Display) {
        if level > self.level {
            return;
        }
        let (tag, colour) = level.tag();
        let line = if self.colour {
            format!("{colour}{tag}\x1b[0m {text}\n")
        } else {
            format!("{tag} {text}\n")
        };
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
}
