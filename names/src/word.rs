//! Names of pods, units, volumes and hosts, each with its own rule.

use std::fmt;
use std::str::FromStr;

/// Longest name of any kind, in characters: it becomes a file name with suffixes behind it.
const NAME_LENGTH_MAX: usize = 63;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct NameError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// What the name must look like, for messages and help texts.
            pub const RULE: &'static str = $rule;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if text.len() <= NAME_LENGTH_MAX && check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { text: text.to_owned(), what: $what, rule: Self::RULE })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        crate::serde_as_text!($name);
    };
}

name_type! {
    /// The name of a pod; a directory name in the project and on every host.
    PodName,
    "pod name",
    "a lower-case letter, then lower-case letters, digits and `_`, not ending in `_`, 63 at most",
    is_plain_name
}

name_type! {
    /// The name of a unit (a container, a process) inside its pod.
    UnitName,
    "unit name",
    "a lower-case letter, then lower-case letters, digits and `_`, not ending in `_`, 63 at most",
    is_plain_name
}

name_type! {
    /// The name of a volume inside its pod. Names of configs may begin with `_`: such a config is for
    /// development and stays in the project.
    VolumeName,
    "volume name",
    "a lower-case letter (`_` may stand before it), then lower-case letters, digits and `_`, not ending in `_`, 63 at most",
    |text| is_plain_name(text.strip_prefix('_').unwrap_or(text))
}

name_type! {
    /// The name of a host: the name of its directory in the Cluster Project.
    HostName,
    "host name",
    "letters, digits, `-` and `_`, beginning with a letter or digit, 63 at most; `pods` and `keys` are reserved",
    is_host_name
}

name_type! {
    /// The name of a secret of a host: the name of its file.
    SecretName,
    "name of a secret",
    "letters, digits, `-`, `_` and `.`, beginning with a letter or digit, 63 at most",
    is_secret_name
}

fn is_plain_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('_')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_host_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !matches!(text, "pods" | "keys")
}

fn is_secret_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr<Err = NameError> + fmt::Display>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(
                text.parse::<T>().map(|name| name.to_string()),
                Ok((*text).to_owned())
            );
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "`{text}` was accepted");
        }
    }

    #[test]
    fn pod_names() {
        let long = "a".repeat(64);
        check::<PodName>(
            &["web", "a", "simplenetes_io", "w3"],
            &[
                "", "Web", "3web", "web_", "_web", "we-b", "../web", "we b", &long,
            ],
        );
    }

    #[test]
    fn config_volumes_may_begin_with_an_underscore() {
        check::<VolumeName>(&["conf", "_devconf"], &["__conf", "_", "conf_", "_Conf"]);
    }

    #[test]
    fn names_of_secrets_are_file_names_that_lead_nowhere() {
        let bad = ["", ".", "..", ".hidden", "a/b", "a b", "-a", "a\0", "a{b}"];
        check::<SecretName>(&["db-password", "haproxy.pem", "API_2", "3"], &bad);
    }

    #[test]
    fn host_names_leave_the_reserved_directories_alone() {
        check::<HostName>(
            &["laptop", "lb-1", "LB_2", "3rd"],
            &["pods", "keys", "", ".hidden", "_plugins", "-x"],
        );
    }

    #[test]
    fn a_refusal_says_the_rule() {
        let error = "Web".parse::<PodName>().unwrap_err().to_string();
        assert!(
            error.starts_with("`Web` is not a pod name: a lower-case letter"),
            "{error}"
        );
    }
}
