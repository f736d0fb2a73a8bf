//! Who can read a secret, by name: hosts and operators with their recipients. The names travel in the header
//! of the encrypted file, because the recipients of age cannot be seen there.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::str::FromStr;

use age::EncryptError;
use age_core::format::{FileKey, Stanza};

use crate::{Recipient, RecipientError};

/// The kind of header line that names a reader: a program that does not know it skips it.
const TAG: &str = "simplenetes/reader";
/// A name has no more bytes than this.
const NAME_MAX: usize = 64;

/// What a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A host that needs the secret.
    Host,
    /// A person who may change it.
    Operator,
}

impl Role {
    const ALL: [Self; 2] = [Self::Host, Self::Operator];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Operator => "operator",
        }
    }
}

/// Somebody who can read a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    role: Role,
    name: String,
    recipient: Recipient,
}

/// Not the name of a reader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// The name has a character that does not travel.
    #[error(
        "`{0}` cannot name a reader: expected 1 to {NAME_MAX} visible ASCII characters without `#`"
    )]
    Name(String),
    /// The recipient is none.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
}

impl Reader {
    /// A reader of that name.
    ///
    /// # Errors
    /// The name cannot stand in a header.
    pub fn new(role: Role, name: &str, recipient: Recipient) -> Result<Self, ReaderError> {
        let is_good = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_good) {
            let name = name.escape_debug().take(NAME_MAX).collect();
            return Err(ReaderError::Name(name));
        }
        Ok(Self {
            role,
            name: name.to_owned(),
            recipient,
        })
    }

    /// What it is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is encrypted to it.
    #[must_use]
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    fn stanza(&self) -> Stanza {
        let args = [self.role.as_str(), &self.name, self.recipient.as_str()];
        Stanza {
            tag: TAG.to_owned(),
            args: args.map(str::to_owned).into(),
            body: Vec::new(),
        }
    }

    /// None when the line of the header names no reader.
    pub(crate) fn of(stanza: &Stanza) -> Option<Self> {
        let [role, name, recipient] = stanza.args.as_slice() else {
            return None;
        };
        let is_reader = stanza.tag == TAG;
        let role = Role::ALL.into_iter().find(|known| known.as_str() == role);
        let recipient = Recipient::from_str(recipient).ok()?;
        Self::new(role.filter(|_| is_reader)?, name, recipient).ok()
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role.as_str(), self.name)
    }
}

/// All who can read a secret.
pub type Audience = BTreeSet<Reader>;

/// Writes the names of an audience into a header.
pub(crate) struct Names<'a>(pub(crate) &'a Audience);

impl age::Recipient for Names<'_> {
    fn wrap_file_key(&self, _: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        Ok((self.0.iter().map(Reader::stanza).collect(), HashSet::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    #[test]
    fn what_is_written_is_read() {
        let recipient = Identity::generate().recipient();
        for (role, name) in [(Role::Host, "laptop"), (Role::Operator, "anna@example.com")] {
            let reader = Reader::new(role, name, recipient.clone()).unwrap();
            assert_eq!(Reader::of(&reader.stanza()), Some(reader.clone()));
            let other = Stanza {
                tag: "X25519".to_owned(),
                ..reader.stanza()
            };
            assert_eq!(Reader::of(&other), None);
        }
    }

    #[test]
    fn names_that_do_not_travel_are_refused() {
        let recipient = Identity::generate().recipient();
        let long = "n".repeat(NAME_MAX + 1);
        for name in ["", "an na", "anna\n", "#anna", "änna", &long] {
            let reader = Reader::new(Role::Operator, name, recipient.clone());
            assert!(matches!(reader, Err(ReaderError::Name(_))), "{name}");
        }
    }
}
