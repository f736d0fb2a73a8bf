//! `commit-chain.txt`: the commits of the project that a host was last synced from, oldest first,
//! separated by spaces.
//!
//! The original wrote short hashes of all commits; we write full ones of the last [`COMMITS_MAX`].
//! How two chains relate is decided by the sync, not here.

use crate::{Format, FormatError};

/// Most commits that a chain keeps: the newest ones. The original's grew without bound.
pub const COMMITS_MAX: usize = 1000;

/// Hashes of commits in hexadecimal, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitChain(Vec<String>);

impl CommitChain {
    /// A chain of hashes, oldest first; of more than [`COMMITS_MAX`] the newest are kept.
    ///
    /// # Errors
    /// One of them is no hash.
    pub fn new(hashes: impl IntoIterator<Item = String>) -> Result<Self, FormatError> {
        let mut hashes: Vec<String> = hashes.into_iter().collect();
        hashes.drain(..hashes.len().saturating_sub(COMMITS_MAX));
        match hashes.iter().find(|hash| !is_hash(hash)) {
            Some(foreign) => Err(FormatError::whole::<Self>(
                foreign,
                "hashes of commits, 4 to 64 hexadecimal digits, separated by spaces",
            )),
            None => Ok(Self(hashes)),
        }
    }

    /// The hashes, oldest first.
    #[must_use]
    pub fn hashes(&self) -> &[String] {
        &self.0
    }

    /// The commit that the chain ends with: where the project stood.
    #[must_use]
    pub fn head(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }
}

fn is_hash(text: &str) -> bool {
    (4..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl Format for CommitChain {
    const NAME: &'static str = "commit-chain.txt";

    fn parse(text: &str) -> Result<Self, FormatError> {
        Self::new(text.split_whitespace().map(str::to_owned))
    }

    fn to_text(&self) -> String {
        format!("{}\n", self.0.join(" "))
    }
}
