//! What can go wrong in a call, and what the daemon should do about it.

use std::fmt;

/// What the daemon should do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClass {
    /// The author's mistake: asking again brings the same. Give up until pod or plugin changes.
    GiveUp,
    /// The host's grants do not allow it. Tell the operator.
    NotGranted,
    /// The world did not answer as hoped. Ask again later.
    Retry,
}

impl FaultClass {
    /// The class of a code that a plugin returned; a code from the future counts as [`Self::GiveUp`].
    #[must_use]
    pub fn of_code(code: &str) -> Self {
        match code {
            "not-granted" => Self::NotGranted,
            "retry" => Self::Retry,
            _ => Self::GiveUp,
        }
    }

    /// The code of the class in the contract.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::GiveUp => "give-up",
            Self::NotGranted => "not-granted",
            Self::Retry => "retry",
        }
    }
}

/// A call into a plugin that did not succeed. The sandbox of the call is gone; the next call gets a
/// fresh one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// What to do about it.
    pub class: FaultClass,
    /// The plugin, as `id version`.
    pub plugin: String,
    /// The export that was called.
    pub export: &'static str,
    /// What happened, in a sentence.
    pub message: String,
    /// What the plugin logged during the call, the last lines.
    pub log: Vec<String>,
    /// True when the plugin itself has answered so, or was not asked because the host had no room for its sandbox;
    /// false when the call was ended, by a trap or a limit, and the plugin is at fault.
    pub is_answer: bool,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin {} failed in `{}`: {}",
            self.plugin, self.export, self.message
        )
    }
}

impl std::error::Error for CallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_both_ways_and_unknown_ones_give_up() {
        for class in [
            FaultClass::GiveUp,
            FaultClass::NotGranted,
            FaultClass::Retry,
        ] {
            assert_eq!(FaultClass::of_code(class.code()), class);
        }
        assert_eq!(FaultClass::of_code("from-the-future"), FaultClass::GiveUp);
    }
}
