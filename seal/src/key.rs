//! One key pair: the identity, which stays where it was made, and its recipient, which everybody may know.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use zeroize::Zeroizing;

/// The public half: what something can be encrypted to, `age1…`.
#[derive(Clone)]
pub struct Recipient {
    text: String,
    pub(crate) key: x25519::Recipient,
}

/// A text that is no recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no age recipient: expected `age1` and 58 more letters and digits")]
pub struct RecipientError(String);

impl Recipient {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let refused = || RecipientError(shown(text));
        let key: x25519::Recipient = text.parse().map_err(|_| refused())?;
        Ok(Self {
            text: key.to_string(),
            key,
        })
    }
}

/// Whoever gives his private key by mistake should not find it on the screen.
fn shown(text: &str) -> String {
    if text.to_ascii_uppercase().contains("AGE-SECRET-KEY-") {
        return "AGE-SECRET-KEY-…".to_owned();
    }
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Recipient {}

impl PartialOrd for Recipient {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Recipient {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

/// The private half: what was encrypted to its recipient can be opened with it.
#[derive(Clone)]
pub struct Identity(pub(crate) x25519::Identity);

/// A text that is no identity. It is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no age identity: expected `AGE-SECRET-KEY-1` and 58 more letters and digits")]
pub struct KeyError;

impl Identity {
    /// A new one, from the randomness of the system.
    #[must_use]
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Its public half.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        let key = self.0.to_public();
        Recipient {
            text: key.to_string(),
            key,
        }
    }

    /// As it is written into a file of keys, and nowhere else.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string().expose_secret().to_owned())
    }
}

impl FromStr for Identity {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.parse().map(Self).map_err(|_| KeyError)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity of {}", self.recipient())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let identity = Identity::generate();
        let recipient = identity.recipient();
        let again: Identity = identity.expose().parse().unwrap();
        assert_eq!(again.recipient(), recipient);
        assert_eq!(recipient.as_str().parse::<Recipient>().unwrap(), recipient);
        assert!(recipient.as_str().starts_with("age1"));
    }

    #[test]
    fn no_private_key_is_ever_shown() {
        let identity = Identity::generate();
        let secret = identity.expose();
        assert!(!format!("{identity:?}").contains("SECRET"));
        for text in [secret.to_string(), secret.to_lowercase()] {
            let error = text.parse::<Recipient>().unwrap_err().to_string();
            assert!(!error.contains(&text[20..]), "{error}");
        }
        let broken = secret.replace('1', "2");
        assert_eq!(broken.parse::<Identity>().unwrap_err(), KeyError);
    }

    #[test]
    fn anything_else_is_refused() {
        let good = Identity::generate().recipient().to_string();
        for text in [
            "",
            "age1",
            &good[..61],
            &good.replace("age1", "age2"),
            "ssh-ed25519 AAAA",
        ] {
            assert!(text.parse::<Recipient>().is_err(), "{text}");
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }
}
