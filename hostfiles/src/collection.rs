//! `gc.env`: what a cluster keeps of releases that were removed. Edited by people.
//!
//! `KEEP_REMOVED=2` is how many removed releases of a pod stay on a host, the newest ones; `AUTO=yes` lets every sync that
//! succeeded collect the others. An absent file keeps two and collects when it is asked to.

use crate::key_lines::KeyLines;
use crate::{Format, FormatError};

/// The keys of the file.
const KEYS: [&str; 2] = ["KEEP_REMOVED", "AUTO"];

/// Removed releases of a pod that stay when nothing is said: what a way back needs.
const KEEP_REMOVED_DEFAULT: u32 = 2;

/// What is kept, and when the rest goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Removed releases of each pod that stay on a host, the newest ones.
    pub keep_removed: u32,
    /// Whether a sync that succeeded collects the others.
    pub auto: bool,
}

impl Default for Collection {
    fn default() -> Self {
        Self {
            keep_removed: KEEP_REMOVED_DEFAULT,
            auto: false,
        }
    }
}

impl Format for Collection {
    const NAME: &'static str = "gc.env";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut collection = Self::default();
        for (line, key, value) in KeyLines::parse(text).entries() {
            let refused =
                |expected: &str| FormatError::at::<Self>(line, &format!("{key}={value}"), expected);
            match key {
                "KEEP_REMOVED" => {
                    collection.keep_removed = value
                        .parse()
                        .map_err(|_| refused("a number, as in KEEP_REMOVED=2"))?;
                }
                "AUTO" => {
                    collection.auto = match value {
                        "yes" => true,
                        "no" => false,
                        _ => return Err(refused("AUTO=yes or AUTO=no")),
                    };
                }
                _ => return Err(refused(&format!("one of {}", KEYS.join(", ")))),
            }
        }
        Ok(collection)
    }

    fn to_text(&self) -> String {
        let auto = if self.auto { "yes" } else { "no" };
        format!("KEEP_REMOVED={}\nAUTO={auto}\n", self.keep_removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_none_is_refused_with_its_line() {
        assert_eq!(Collection::parse("").unwrap(), Collection::default());
        let policy = Collection::parse("# ours\nKEEP_REMOVED=0\nAUTO=yes\n").unwrap();
        assert_eq!(Collection::parse(&policy.to_text()).unwrap(), policy);
        for text in ["KEEP_REMOVED=all\n", "AUTO=maybe\n", "KEEP=2\n"] {
            assert_eq!(Collection::parse(text).unwrap_err().line, Some(1), "{text}");
        }
    }
}
