//! Those who were believed, at rest: so the tickets that they hold are good for the next program too.

use std::fmt::Write as _;
use std::time::Instant;

use hostfiles::PeerKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use super::{AFTERWARDS, Guest, Reception};
use crate::peers::ticket::{Admission, Secret, SessionId};

/// One who was believed, at rest.
#[derive(Serialize, Deserialize)]
pub(crate) struct FrozenGuest {
    id: SessionId,
    key: [u8; 32],
    secret: Secret,
    next: u64,
    taken: Vec<u64>,
}

impl std::fmt::Debug for FrozenGuest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrozenGuest")
    }
}

impl Drop for FrozenGuest {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl FrozenGuest {
    /// As a line, see [`crate::frozen`].
    pub(crate) fn write(&self, text: &mut String) -> std::fmt::Result {
        text.push_str("guest ");
        write_hex(text, &self.id)?;
        text.push(' ');
        write_hex(text, &self.key)?;
        text.push(' ');
        write_hex(text, &self.secret)?;
        write!(text, " {} ", self.next)?;
        for word in &self.taken {
            write!(text, "{word:016x}")?;
        }
        text.push('\n');
        Ok(())
    }

    /// What stands in such a line after its first word; none when that is something else.
    pub(crate) fn read(words: &[&str]) -> Option<Self> {
        let [id, key, secret, next, taken] = words else {
            return None;
        };
        let (words, rest) = taken.as_bytes().as_chunks::<16>();
        let word = |digits: &[u8; 16]| Some(u64::from_be_bytes(read_hex(digits)?));
        rest.is_empty().then_some(())?;
        Some(Self {
            id: read_hex(id.as_bytes())?,
            key: read_hex(key.as_bytes())?,
            secret: read_hex(secret.as_bytes())?,
            next: next.parse().ok()?,
            taken: words.iter().map(word).collect::<Option<_>>()?,
        })
    }
}

fn write_hex(text: &mut String, bytes: &[u8]) -> std::fmt::Result {
    bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}"))
}

fn read_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut bytes = [0; N];
    for (to, [high, low]) in bytes.iter_mut().zip(pairs) {
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

impl Reception {
    /// Gives all away: whoever is believed from now on is believed by the next program.
    pub(crate) fn freeze(&self) -> Vec<FrozenGuest> {
        let sessions = self.sessions();
        self.close();
        let frozen = sessions.iter().map(|(id, guest)| {
            let (secret, next, taken) = guest.admission.to_parts();
            FrozenGuest {
                id: *id,
                key: *guest.key.bytes(),
                secret: *secret,
                next,
                taken,
            }
        });
        frozen.collect()
    }

    /// Their conversations are over, and they notice it.
    pub(crate) fn thaw(&self, frozen: Vec<FrozenGuest>) {
        let until = Some(Instant::now() + AFTERWARDS);
        let mut sessions = self.sessions();
        for guest in frozen {
            let key = PeerKey::new(guest.key);
            let admission = Admission::of_parts(&guest.secret, guest.next, guest.taken.clone());
            if let Some(admission) = admission {
                let known = Guest {
                    key,
                    admission,
                    until,
                };
                sessions.insert(guest.id, known);
            }
        }
    }
}
