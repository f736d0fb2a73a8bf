//! What happens when a unit exits, and what is done to a running one when its configs change.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What happens when a unit has exited. Written as in pod.yaml: `always`, `on-interval:10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// Stays as it is.
    #[default]
    Never,
    /// Is started again, whatever its exit status.
    Always,
    /// Is started again after an exit status other than zero.
    OnFailure,
    /// Is started again when one of its configs has changed, and after an exit status other than zero.
    OnConfig,
    /// Is started again this long after it finished with zero, at once after another exit status, and
    /// when one of its configs has changed.
    OnInterval {
        /// Seconds from the end to the next start, at least 1.
        seconds: u32,
    },
}

/// Why a text is not a restart policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a restart policy: expected {}", Restart::RULE)]
pub struct RestartError {
    text: String,
}

impl Restart {
    /// The policies, for messages.
    pub const RULE: &'static str = "never, always, on-failure, on-config or on-interval:SECONDS";
}

impl FromStr for Restart {
    type Err = RestartError;

    fn from_str(text: &str) -> Result<Self, RestartError> {
        let refused = || RestartError {
            text: text.to_owned(),
        };
        match text {
            "never" => Ok(Self::Never),
            "always" => Ok(Self::Always),
            "on-failure" => Ok(Self::OnFailure),
            "on-config" => Ok(Self::OnConfig),
            _ => {
                let digits = text.strip_prefix("on-interval:").ok_or_else(refused)?;
                let is_number = digits.bytes().all(|b| b.is_ascii_digit());
                let seconds = digits
                    .parse()
                    .ok()
                    .filter(|seconds| is_number && *seconds > 0);
                Ok(Self::OnInterval {
                    seconds: seconds.ok_or_else(refused)?,
                })
            }
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Always => f.write_str("always"),
            Self::OnFailure => f.write_str("on-failure"),
            Self::OnConfig => f.write_str("on-config"),
            Self::OnInterval { seconds } => write!(f, "on-interval:{seconds}"),
        }
    }
}

impl Serialize for Restart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Restart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What is done to a running unit when one of its configs has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReloadSignal {
    /// It is sent a signal.
    #[serde(rename = "sig")]
    Signal(
        /// The signal's name without `SIG`: `HUP`.
        String,
    ),
    /// A command is run inside it.
    #[serde(rename = "cmd")]
    Command(
        /// The program and its arguments.
        Vec<String>,
    ),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_go_both_ways() {
        for text in [
            "never",
            "always",
            "on-failure",
            "on-config",
            "on-interval:86400",
        ] {
            assert_eq!(text.parse::<Restart>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "Always",
            "on-interval",
            "on-interval:",
            "on-interval:0",
            "on-interval:+5",
            "on-interval:5s",
            "on-interval:4294967296",
        ] {
            assert!(text.parse::<Restart>().is_err(), "`{text}` was accepted");
        }
    }
}
