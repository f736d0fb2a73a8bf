//! The one word that says what should become of a release.

use std::fmt;
use std::str::FromStr;

/// What should become of a release: the whole content of `pod.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PodState {
    /// Its units run.
    Running,
    /// Its units are stopped; what it made is kept.
    Stopped,
    /// Its units are stopped and what it made is removed, except volumes.
    Removed,
}

/// Why a text is not a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a pod state: expected running, stopped or removed")]
pub struct StateError(String);

impl PodState {
    /// All states, in the order in which they are listed to people.
    pub const ALL: [Self; 3] = [Self::Running, Self::Stopped, Self::Removed];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Removed => "removed",
        }
    }
}

impl FromStr for PodState {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| StateError(text.to_owned()))
    }
}

impl fmt::Display for PodState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

crate::serde_as_text!(PodState);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_both_ways() {
        for state in PodState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        assert!("Running".parse::<PodState>().is_err());
    }
}
