//! How a connection between two proxies shows, in its first bytes and without waiting for an answer, that it comes
//! from one that has proved itself.
//!
//! Two proxies that talk over TLS have a secret in common that nobody else can know (RFC 8446, section 7.5). A ticket
//! names the conversation and a number, and seals both with that secret (HMAC-SHA256). Each
//! number is good for one connection, so that a ticket which somebody has seen on the way is of no use to him.
//!
//! ```text
//!  0  "SNS" 1       what it is
//!  4  session       16 bytes, the name of the conversation
//! 20  number        8 bytes, big-endian
//! 28  seal          32 bytes
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use ring::hmac;
use zeroize::Zeroizing;

/// How many bytes a ticket has.
pub const TICKET_BYTES: usize = 60;
/// What every ticket begins with. Neither a line of the original's protocol nor TLS begins so.
pub const SIGNATURE: [u8; 4] = *b"SNS\x01";

const SESSION_BYTES: usize = 16;
const NUMBER_AT: usize = SIGNATURE.len() + SESSION_BYTES;
const SEAL_AT: usize = NUMBER_AT + 8;
/// Tickets that come so much later than others are refused.
const WINDOW: u64 = 4096;

/// The name of a conversation.
pub type SessionId = [u8; SESSION_BYTES];
/// What both sides of it know.
pub type Secret = [u8; 32];

/// The side that writes tickets.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    key: hmac::Key,
    next: AtomicU64,
}

impl Session {
    /// One that begins.
    #[must_use]
    pub fn new(id: SessionId, secret: &Secret) -> Self {
        Self {
            id,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            next: AtomicU64::new(0),
        }
    }

    /// One more ticket.
    pub fn ticket(&self) -> [u8; TICKET_BYTES] {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut ticket = [0; TICKET_BYTES];
        let (said, seal) = ticket.split_at_mut(SEAL_AT);
        let parts = SIGNATURE.iter().chain(&self.id).copied();
        let bytes = parts.chain(number.to_be_bytes());
        said.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        let full = hmac::sign(&self.key, said);
        seal.iter_mut()
            .zip(full.as_ref())
            .for_each(|(to, byte)| *to = *byte);
        ticket
    }
}

/// The conversation that a ticket names.
#[must_use]
pub fn session_of(ticket: &[u8; TICKET_BYTES]) -> Option<SessionId> {
    let rest = ticket.strip_prefix(&SIGNATURE)?;
    rest.first_chunk().copied()
}

/// The side that takes tickets.
#[derive(Debug, Clone)]
pub struct Admission {
    /// What the key was made of, for another program.
    secret: Zeroizing<Secret>,
    key: hmac::Key,
    /// One more than the highest number that was taken.
    next: u64,
    /// Which of the numbers below that were taken, each at its number modulo [`WINDOW`].
    taken: Box<[u64]>,
}

impl Admission {
    /// One that begins.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self {
            secret: Zeroizing::new(*secret),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            next: 0,
            taken: vec![0; usize::try_from(WINDOW / 64).unwrap_or(64)].into_boxed_slice(),
        }
    }

    /// What another program needs to take the same tickets: the secret, the next number, and which were taken.
    pub(crate) fn to_parts(&self) -> (Zeroizing<Secret>, u64, Vec<u64>) {
        (self.secret.clone(), self.next, self.taken.to_vec())
    }

    /// The way back.
    pub(crate) fn of_parts(secret: &Secret, next: u64, taken: Vec<u64>) -> Option<Self> {
        let new = Self::new(secret);
        (taken.len() == new.taken.len()).then(|| Self {
            next,
            taken: taken.into_boxed_slice(),
            ..new
        })
    }

    /// Whether the ticket is one of this conversation, and comes for the first time.
    pub fn admit(&mut self, ticket: &[u8; TICKET_BYTES]) -> bool {
        let (said, seal) = ticket.split_at(SEAL_AT);
        if hmac::verify(&self.key, said, seal).is_err() {
            return false;
        }
        let number = said.get(NUMBER_AT..).and_then(|bytes| bytes.first_chunk());
        number.is_some_and(|bytes| self.take(u64::from_be_bytes(*bytes)))
    }

    fn take(&mut self, number: u64) -> bool {
        if number >= u64::MAX - WINDOW || number.saturating_add(WINDOW) < self.next {
            return false;
        }
        if number >= self.next {
            if number - self.next >= WINDOW {
                self.taken.fill(0);
            } else {
                (self.next..=number).for_each(|skipped| self.mark(skipped, false));
            }
            self.next = number + 1;
        } else if self.is_marked(number) {
            return false;
        }
        self.mark(number, true);
        true
    }

    fn place(number: u64) -> (usize, u64) {
        let place = number % WINDOW;
        (
            usize::try_from(place / 64).unwrap_or_default(),
            1 << (place % 64),
        )
    }

    fn is_marked(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.taken.get(word).is_none_or(|word| word & bit != 0)
    }

    fn mark(&mut self, number: u64, taken: bool) {
        let (word, bit) = Self::place(number);
        if let Some(word) = self.taken.get_mut(word) {
            *word = if taken { *word | bit } else { *word & !bit };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = [7; 16];

    fn both() -> (Session, Admission) {
        (Session::new(ID, &[1; 32]), Admission::new(&[1; 32]))
    }

    #[test]
    fn a_ticket_is_good_once() {
        let (session, mut door) = both();
        let (first, second) = (session.ticket(), session.ticket());
        assert_eq!(session_of(&first), Some(ID));
        assert!(door.admit(&second) && door.admit(&first));
        assert!(!door.admit(&first) && !door.admit(&second));
    }

    #[test]
    fn what_was_changed_or_made_up_is_refused() {
        let (session, mut door) = both();
        let ticket = session.ticket();
        for place in 0..TICKET_BYTES {
            let mut changed = ticket;
            changed[place] ^= 1;
            assert!(!door.admit(&changed), "{place}");
        }
        let other = Session::new(ID, &[2; 32]).ticket();
        assert!(!door.admit(&other) && door.admit(&ticket));
    }

    #[test]
    fn late_tickets_have_a_bound_and_none_is_taken_twice() {
        let (_, mut door) = both();
        for number in [0, 5, 3, 4096, 1, 9000, 9000 - 4095, 8999, 200_000, 199_999] {
            assert!(door.take(number), "{number}");
            assert!(!door.take(number), "{number}");
        }
        for late in [0, 5, 4096, 200_000 - 4097, u64::MAX] {
            assert!(!door.take(late), "{late}");
        }
        assert!(door.take(200_000 - 4095));
    }
}
