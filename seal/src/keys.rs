//! The private keys of one host or operator as they lie in a file: the format of age's own identity files, one
//! `AGE-SECRET-KEY-1…` per line. The first one counts; those after it open what was encrypted before.

use std::fmt;

use zeroize::Zeroizing;

use crate::{Identity, Recipient};

/// More keys than this are a mistake.
const KEYS_MAX: usize = 16;

/// Private keys, the newest first; at least one.
#[derive(Clone)]
pub struct Keys {
    newest: Identity,
    older: Vec<Identity>,
}

/// A text that holds no keys. It is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A line is neither a comment nor a key.
    #[error("line {0} is no age identity: expected `AGE-SECRET-KEY-1…`")]
    Line(usize),
    /// There is none.
    #[error("there is no age identity in it: expected a line `AGE-SECRET-KEY-1…`")]
    Empty,
    /// There are too many.
    #[error("there are more than {KEYS_MAX} age identities in it")]
    TooMany,
}

impl Keys {
    /// One new key.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            newest: Identity::generate(),
            older: Vec::new(),
        }
    }

    /// Reads the text of a file of keys.
    ///
    /// # Errors
    /// The line that is none.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(line.parse().map_err(|_| KeysError::Line(index + 1))?);
        }
        if keys.len() > KEYS_MAX {
            return Err(KeysError::TooMany);
        }
        let mut keys = keys.into_iter();
        let newest = keys.next().ok_or(KeysError::Empty)?;
        Ok(Self {
            newest,
            older: keys.collect(),
        })
    }

    /// The text of the file. `about` says whose keys they are.
    #[must_use]
    pub fn to_text(&self, about: &str) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("# {about}\n"));
        for identity in self.all() {
            text.push_str("# public key: ");
            text.push_str(identity.recipient().as_str());
            text.push('\n');
            text.push_str(&identity.expose());
            text.push('\n');
        }
        text
    }

    /// The public half of the newest.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        self.newest.recipient()
    }

    /// The public halves of all, the newest first.
    pub fn recipients(&self) -> impl Iterator<Item = Recipient> {
        self.all().map(Identity::recipient)
    }

    /// The same with a new key, which counts from now on.
    #[must_use]
    pub fn renewed(self) -> Self {
        let before = std::iter::once(self.newest).chain(self.older);
        Self {
            newest: Identity::generate(),
            older: before.take(KEYS_MAX - 1).collect(),
        }
    }

    /// The newest alone.
    #[must_use]
    pub fn without_older(self) -> Self {
        Self {
            newest: self.newest,
            older: Vec::new(),
        }
    }

    /// True when there are others than the newest.
    #[must_use]
    pub fn has_older(&self) -> bool {
        !self.older.is_empty()
    }

    /// All of them, the newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Identity> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_read_renewed_and_forgotten() {
        let first = Keys::generate();
        let both = first.clone().renewed();
        assert_ne!(both.recipient(), first.recipient());
        let read = Keys::parse(&both.to_text("of a test")).unwrap();
        assert!(read.recipients().eq(both.recipients()) && read.has_older());
        assert_eq!(read.recipients().nth(1), Some(first.recipient()));
        let newest = read.without_older();
        assert!(newest.recipients().eq([both.recipient()]));
        assert!(!format!("{newest:?}").contains("SECRET"));
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused_and_not_shown() {
        let key = Identity::generate().expose();
        let broken = format!("# mine\n{}\n", &key[..70]);
        assert_eq!(Keys::parse("").unwrap_err(), KeysError::Empty);
        assert_eq!(Keys::parse("# only this\n").unwrap_err(), KeysError::Empty);
        assert_eq!(Keys::parse(&broken).unwrap_err(), KeysError::Line(2));
        let many = format!("{}\n", key.as_str()).repeat(KEYS_MAX + 1);
        assert_eq!(Keys::parse(&many).unwrap_err(), KeysError::TooMany);
        let mut keys = Keys::generate();
        for _ in 0..KEYS_MAX * 2 {
            keys = keys.renewed();
        }
        Keys::parse(&keys.to_text("of a test")).unwrap();
    }
}
