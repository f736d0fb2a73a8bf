//! The records of TLS 1.3 (RFC 8446, section 5) on a connection between two proxies, after the handshake.
//!
//! The handshake is the TLS library's; it hands over two keys, and from then on a worker carries the connection as
//! any other. All that a connection is stands in this value, so that it can be given to another program. One cipher,
//! ChaCha20-Poly1305, whose keys never have to be changed. It must not know sockets: bytes in, bytes out.

mod frozen;

use std::io;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};
use zeroize::Zeroizing;

pub(crate) use self::frozen::FrozenRecords;

const HEADER_BYTES: usize = 5;
/// The most that one record carries (section 5.1).
const PLAIN_BYTES_MAX: usize = 1 << 14;
/// The longest record that is believed (section 5.2).
const SEALED_BYTES_MAX: usize = PLAIN_BYTES_MAX + 256;
const TAG_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

const ALERT: u8 = 21;
const DATA: u8 = 23;
/// The alert by which a side says that it has said all: a warning, number 0.
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// One direction.
struct Direction {
    /// What the key was made of, for another program.
    secret: Zeroizing<[u8; SECRET_BYTES]>,
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    /// Of the next record.
    number: u64,
}

impl Direction {
    fn of(number: u64, secrets: &ConnectionTrafficSecrets) -> Option<Self> {
        let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else {
            return None;
        };
        Some(Self {
            secret: Zeroizing::new(key.as_ref().try_into().ok()?),
            key: LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok()?),
            iv: iv.as_ref().try_into().ok()?,
            number,
        })
    }

    /// Section 5.3: the number of the record, added without carry to the end of the IV.
    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        let places = nonce.iter_mut().skip(NONCE_LEN - 8);
        places
            .zip(self.number.to_be_bytes())
            .for_each(|(place, byte)| *place ^= byte);
        self.number = self.number.wrapping_add(1);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Both directions of a connection.
pub(crate) struct Records {
    talking: Direction,
    hearing: Direction,
    /// What has come and is not a whole record yet.
    coming: Vec<u8>,
    /// What was opened and not yet taken: so much of it was.
    opened: Vec<u8>,
    taken: usize,
    /// What was sealed and not yet sent.
    going: Vec<u8>,
    heard_all: bool,
    said_all: bool,
}

impl Records {
    /// Those that follow a handshake; none when another cipher was agreed on.
    pub(crate) fn of(secrets: &ExtractedSecrets) -> Option<Self> {
        let (number, talking) = &secrets.tx;
        let talking = Direction::of(*number, talking)?;
        let (number, hearing) = &secrets.rx;
        Some(Self {
            talking,
            hearing: Direction::of(*number, hearing)?,
            coming: Vec::new(),
            opened: Vec::new(),
            taken: 0,
            going: Vec::new(),
            heard_all: false,
            said_all: false,
        })
    }

    /// Whether the other side has said that it has said all.
    pub(crate) fn heard_all(&self) -> bool {
        self.heard_all && self.taken == self.opened.len()
    }

    /// Takes what has arrived.
    pub(crate) fn arrived(&mut self, bytes: &[u8]) {
        self.coming.extend_from_slice(bytes);
    }

    /// What the other side has said next, as much as there is room for; 0 when more has to arrive first.
    pub(crate) fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.opened.len() {
            if self.heard_all || !self.open()? {
                return Ok(0);
            }
        }
        let left = self.opened.get(self.taken..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        buffer
            .iter_mut()
            .zip(left)
            .for_each(|(to, byte)| *to = *byte);
        self.taken += count;
        if self.taken == self.opened.len() {
            // Nothing is held for a connection that waits.
            (self.opened, self.taken) = (Vec::new(), 0);
        }
        Ok(count)
    }

    /// Opens the next record; false when it has not arrived.
    fn open(&mut self) -> io::Result<bool> {
        let Some((header, rest)) = self.coming.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(false);
        };
        let [kind, _, _, high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if kind != DATA || length > SEALED_BYTES_MAX || length <= TAG_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if rest.len() < length {
            return Ok(false);
        }
        let left = self.coming.split_off(HEADER_BYTES + length);
        let mut record = std::mem::replace(&mut self.coming, left);
        let nonce = self.hearing.nonce();
        let mut sealed = record.split_off(HEADER_BYTES);
        let opened = self
            .hearing
            .key
            .open_in_place(nonce, Aad::from(record), &mut sealed)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?
            .len();
        sealed.truncate(opened);
        // Zeros may follow what kind of record it is (section 5.4).
        while sealed.last() == Some(&0) {
            sealed.pop();
        }
        match sealed.pop() {
            Some(DATA) => (self.opened, self.taken) = (sealed, 0),
            Some(ALERT) if sealed == CLOSE_NOTIFY => self.heard_all = true,
            Some(ALERT) => return Err(io::ErrorKind::ConnectionReset.into()),
            // Nothing else is ever said by a proxy after the handshake.
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(true)
    }

    /// Seals what is to be said.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes
            .chunks(PLAIN_BYTES_MAX)
            .try_for_each(|chunk| self.seal(DATA, chunk))
    }

    /// Says, once, that all was said.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.said_all, true) {
            return Ok(());
        }
        self.seal(ALERT, &CLOSE_NOTIFY)
    }

    fn seal(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() + 1 + TAG_BYTES;
        let length = u16::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        let [high, low] = length.to_be_bytes();
        let header = [DATA, 3, 3, high, low];
        self.going.extend_from_slice(&header);
        let begin = self.going.len();
        self.going.extend_from_slice(bytes);
        self.going.push(kind);
        let nonce = self.talking.nonce();
        let sealed = self.going.get_mut(begin..).unwrap_or_default();
        let tag = self
            .talking
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(header), sealed)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.going.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// What is still to be sent.
    pub(crate) fn going(&self) -> &[u8] {
        &self.going
    }

    /// So much of it was sent.
    pub(crate) fn sent(&mut self, count: usize) {
        if count >= self.going.len() {
            self.going = Vec::new();
        } else {
            self.going.drain(..count);
        }
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records")
    }
}
