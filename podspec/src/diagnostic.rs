//! A problem of an author's text: what is wrong, where, what was expected, and what would help.
//!
//! Diagnostics are values. Who prints them, in which colours and behind which file name, is decided
//! elsewhere.

use std::fmt;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The pod cannot be compiled.
    Error,
    /// The pod can be compiled, but probably does not do what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in the text that the author wrote, before any variable was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One problem of a pod.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; none when it is nowhere in particular.
    pub place: Option<Place>,
    /// The value that it is about, as in `processes[0].expose[1].hostPort`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What the author probably wants to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place; the other fields are filled in by struct update.
    #[must_use]
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: None,
            path: path.into(),
            message: message.into(),
            expected: None,
            hint: None,
        }
    }

    /// A warning without a place.
    #[must_use]
    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, message)
        }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    /// The same with what was expected.
    #[must_use]
    pub fn expecting(self, expected: impl Into<String>) -> Self {
        Self {
            expected: Some(expected.into()),
            ..self
        }
    }

    /// The same with a hint, if there is one.
    #[must_use]
    pub fn hinting(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

/// `3:5: error: unknown key `imgae` in containers[0]`, with indented lines for what was expected and
/// for the hint. No line break at the end.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.severity, self.message)?;
        if !self.path.is_empty() {
            write!(f, " (at {})", self.path)?;
        }
        if let Some(expected) = &self.expected {
            write!(f, "\n  expected: {expected}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// In the order of the text, each once; what is nowhere in particular comes first.
pub(crate) fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        (a.place, a.severity, &a.path, &a.message).cmp(&(b.place, b.severity, &b.path, &b.message))
    });
    diagnostics.dedup();
}

/// True when nothing in the list prevents compiling.
pub(crate) fn is_harmless(diagnostics: &[Diagnostic]) -> bool {
    diagnostics
        .iter()
        .all(|diagnostic| diagnostic.severity == Severity::Warning)
}
