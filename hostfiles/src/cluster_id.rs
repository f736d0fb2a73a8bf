//! `cluster-id.txt`: which cluster a project or a host home belongs to. One line, `NAME-RANDOM`.

use std::fmt;
use std::str::FromStr;

use crate::{Format, FormatError};

/// Longest id of a cluster, in characters.
const LENGTH_MAX: usize = 128;

/// The identity of a cluster. A sync goes on only if both ends have the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterId(String);

impl ClusterId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterId {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let fits =
            (1..=LENGTH_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        fits.then(|| Self(text.to_owned())).ok_or_else(|| {
            FormatError::whole::<Self>(
                text,
                "one word of printable ASCII, NAME-NUMBER, as in mycluster-12345",
            )
        })
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Format for ClusterId {
    const NAME: &'static str = "cluster-id.txt";

    fn parse(text: &str) -> Result<Self, FormatError> {
        text.trim().parse()
    }

    fn to_text(&self) -> String {
        format!("{self}\n")
    }
}
