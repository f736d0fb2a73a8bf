//! One version of one pod: the thing that is compiled, synced, run and removed.

use std::fmt;
use std::str::FromStr;

use crate::{NameError, PodName, PodVersion, VersionError};

/// One version of one pod, written `pod:version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseId {
    /// The pod.
    pub pod: PodName,
    /// Its version.
    pub version: PodVersion,
}

/// Why a text does not name a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// There is no colon.
    #[error("`{0}` does not name a release: expected POD:VERSION, as in web:1.0.0")]
    NoVersion(String),
    /// What stands before the colon is no pod name.
    #[error(transparent)]
    Pod(#[from] NameError),
    /// What stands behind the colon is no version.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl FromStr for ReleaseId {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let (pod, version) = text
            .split_once(':')
            .ok_or_else(|| ReleaseError::NoVersion(text.to_owned()))?;
        Ok(Self {
            pod: pod.parse()?,
            version: version.parse()?,
        })
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pod, self.version)
    }
}

crate::serde_as_text!(ReleaseId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_and_three_ways_to_be_wrong() {
        let id: ReleaseId = "web:1.0.0-rc1".parse().unwrap();
        assert_eq!(id.to_string(), "web:1.0.0-rc1");
        for text in ["web", "Web:1.0.0", "web:1"] {
            assert!(text.parse::<ReleaseId>().is_err(), "`{text}` was accepted");
        }
    }
}
