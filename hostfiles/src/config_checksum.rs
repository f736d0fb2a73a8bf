//! `config/NAME.txt`: the SHA-256 of a config directory.
//!
//! It is the SHA-256 of the sorted lines `SHA256-OF-FILE  ./RELATIVE/PATH`, which is what
//! `find . -type f -exec sha256sum {} + | LC_ALL=C sort | sha256sum` says inside the directory.

use std::fmt;
use std::str::FromStr;

use crate::{Format, FormatError};

/// A SHA-256, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigChecksum(String);

impl ConfigChecksum {
    /// The 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<[u8; 32]> for ConfigChecksum {
    fn from(sha256: [u8; 32]) -> Self {
        Self(sha256.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl FromStr for ConfigChecksum {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        is_sha256(text)
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| {
                FormatError::whole::<Self>(text, "a SHA-256: 64 lower-case hexadecimal digits")
            })
    }
}

impl fmt::Display for ConfigChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Format for ConfigChecksum {
    const NAME: &'static str = "config checksum";

    fn parse(text: &str) -> Result<Self, FormatError> {
        // `sha256sum` puts the name behind the digest; the first word is what counts.
        text.split_whitespace().next().unwrap_or_default().parse()
    }

    fn to_text(&self) -> String {
        format!("{self}\n")
    }
}
