//! `cluster-vars.env`: the variables of the cluster, `NAME=value` per line, edited by people.
//!
//! Which name a pod may use (`GLOBAL`, `POD_name`) is decided by whoever compiles it, not here.

use crate::key_lines::KeyLines;
use crate::{Format, FormatError};

/// The variables of a cluster. Order, comments and spacing survive a rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterVars(KeyLines);

impl ClusterVars {
    /// The value of a variable, trimmed; the first line of the name counts.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// Line number (from 1), name and value of every variable, in the order of the file.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.0.entries()
    }

    /// Changes or adds a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.set(name, value);
    }
}

impl Format for ClusterVars {
    const NAME: &'static str = "cluster-vars.env";

    fn parse(text: &str) -> Result<Self, FormatError> {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') && !line.contains('=') {
                return Err(FormatError::at::<Self>(
                    number,
                    line,
                    "NAME=value, or a comment that begins with `#`",
                ));
            }
        }
        Ok(Self(KeyLines::parse(text)))
    }

    fn to_text(&self) -> String {
        self.0.to_text()
    }
}
