//! The private keys by which a proxy proves that it belongs to its cluster, as they lie in a file of its host.
//!
//! One Ed25519 key (RFC 8032) per line, its 32 secret bytes in base64, the newest first. The public halves stand in
//! the project and in `peers.conf` of all hosts. Must not know where the file lies, and what the keys are used for.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hostfiles::{PEER_KEYS_MAX, PeerKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

/// What stands before the secret bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// One private key. It is not shown.
#[derive(Clone)]
pub struct SecretKey {
    secret: Zeroizing<[u8; 32]>,
    public: PeerKey,
}

impl SecretKey {
    fn generate() -> Result<Self, KeysError> {
        let mut secret = Zeroizing::new([0; 32]);
        SystemRandom::new()
            .fill(secret.as_mut())
            .map_err(|_| KeysError::NoRandom)?;
        Self::of(secret).ok_or(KeysError::NoRandom)
    }

    fn of(secret: Zeroizing<[u8; 32]>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(secret.as_ref()).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        Some(Self {
            secret,
            public: PeerKey::new(public),
        })
    }

    fn read(line: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(line).ok()?);
        let mut secret = Zeroizing::new([0; 32]);
        if bytes.len() != secret.len() {
            return None;
        }
        secret.copy_from_slice(&bytes);
        Self::of(secret)
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PeerKey {
        self.public
    }

    /// In the form that TLS libraries take: PKCS #8 (RFC 8410).
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([PKCS8_PREFIX.as_slice(), self.secret.as_slice()].concat())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.public)
    }
}

/// The private keys of one proxy, the newest first; at least one.
#[derive(Debug, Clone)]
pub struct ProxyKeys {
    newest: SecretKey,
    older: Vec<SecretKey>,
}

/// Why there are no keys. The text of a file is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A line is neither a comment nor a key.
    #[error("line {0} is no key of a proxy: expected 44 characters of base64")]
    Line(usize),
    /// There is none.
    #[error("there is no key of a proxy in it")]
    Empty,
    /// There are too many.
    #[error("there are more than {PEER_KEYS_MAX} keys in it")]
    TooMany,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
}

impl ProxyKeys {
    /// One new key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, KeysError> {
        Ok(Self {
            newest: SecretKey::generate()?,
            older: Vec::new(),
        })
    }

    /// Reads the text of a file of keys.
    ///
    /// # Errors
    /// The line that is none; there are none, or too many.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if !line.is_empty() && !line.starts_with('#') {
                keys.push(SecretKey::read(line).ok_or(KeysError::Line(number))?);
            }
        }
        if keys.len() > PEER_KEYS_MAX {
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
        for key in self.all() {
            text.push_str("# public key: ");
            text.push_str(&key.public.to_string());
            text.push('\n');
            text.push_str(&Zeroizing::new(STANDARD.encode(key.secret.as_slice())));
            text.push('\n');
        }
        text
    }

    /// All of them, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &SecretKey> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    /// The public halves of all, the newest first.
    pub fn public(&self) -> impl Iterator<Item = PeerKey> {
        self.all().map(SecretKey::public)
    }

    /// The same with a new key, which is the newest from now on.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn renewed(self) -> Result<Self, KeysError> {
        let before = std::iter::once(self.newest).chain(self.older);
        Ok(Self {
            older: before.take(PEER_KEYS_MAX - 1).collect(),
            newest: SecretKey::generate()?,
        })
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_read_renewed_and_forgotten() {
        let first = ProxyKeys::generate().unwrap();
        let both = first.clone().renewed().unwrap();
        let read = ProxyKeys::parse(&both.to_text("of a test")).unwrap();
        assert!(read.public().eq(both.public()) && read.has_older());
        assert_eq!(read.public().nth(1), first.public().next());
        let newest = read.without_older();
        assert!(newest.public().eq(both.public().take(1)));
        let (shown, secret) = (format!("{newest:?}"), newest.to_text(""));
        assert!(!shown.contains(secret.lines().last().unwrap()));
    }

    #[test]
    fn pkcs8_is_what_ring_reads() {
        let keys = ProxyKeys::generate().unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&keys.newest.to_pkcs8()).unwrap();
        assert_eq!(pair.public_key().as_ref(), keys.newest.public().bytes());
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused() {
        let text = ProxyKeys::generate().unwrap().to_text("");
        let line = text.lines().last().unwrap();
        let error = |text: &str| ProxyKeys::parse(text).unwrap_err();
        assert_eq!(error("# only this\n"), KeysError::Empty);
        assert_eq!(
            error(&format!("# me\n{}\n", &line[..40])),
            KeysError::Line(2)
        );
        assert_eq!(
            error(&format!("{line}\n").repeat(PEER_KEYS_MAX + 1)),
            KeysError::TooMany
        );
        let mut keys = ProxyKeys::generate().unwrap();
        for _ in 0..PEER_KEYS_MAX * 2 {
            keys = keys.renewed().unwrap();
        }
        ProxyKeys::parse(&keys.to_text("")).unwrap();
    }
}
