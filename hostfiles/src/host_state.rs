//! `host.state`: whether a host takes part in the cluster, in one word. An absent file means active.

use std::fmt;
use std::str::FromStr;

use crate::{Format, FormatError};

/// Whether a host takes part in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum HostState {
    /// It is synced and the other hosts route to it.
    #[default]
    Active,
    /// It is synced and its pods run on, but no other host routes to it: it drains.
    Inactive,
    /// It is left alone.
    Disabled,
}

impl HostState {
    /// All states, in the order in which they are listed to people.
    pub const ALL: [Self; 3] = [Self::Active, Self::Inactive, Self::Disabled];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Disabled => "disabled",
        }
    }
}

impl FromStr for HostState {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Self, FormatError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| FormatError::whole::<Self>(word, "one of active, inactive, disabled"))
    }
}

impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Format for HostState {
    const NAME: &'static str = "host.state";

    fn parse(text: &str) -> Result<Self, FormatError> {
        text.trim().parse()
    }

    fn to_text(&self) -> String {
        format!("{self}\n")
    }
}
