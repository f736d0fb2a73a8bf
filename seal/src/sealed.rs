//! The encrypted text: armoured age, as every age program reads and writes it.

use std::io::{Read as _, Write as _};
use std::iter;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor};
use zeroize::Zeroizing;

use crate::audience::Names;
use crate::looker::Looker;
use crate::{Audience, CONFIG_BYTES_MAX, Identity, Keys};

/// Bytes that are overwritten when they are not needed any more.
pub type Plain = Zeroizing<Vec<u8>>;

/// How every encrypted text begins.
const FIRST_LINE: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// How age begins without armour.
const BINARY: &[u8] = b"age-encryption.org/";

/// Why something was not encrypted.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Nobody could read it.
    #[error("there is nobody to encrypt it to")]
    Nobody,
    /// Two readers have the same recipient.
    #[error("{0} and {1} have the same key: each needs one of its own")]
    SameKey(String, String),
    /// It is too long.
    #[error("it is longer than {} KiB, the most that an encrypted config can hold", CONFIG_BYTES_MAX / 1024)]
    Long,
    /// The library refused.
    #[error("it cannot be encrypted")]
    Age(#[from] age::EncryptError),
    /// The system gave no memory or randomness.
    #[error("it cannot be encrypted")]
    Io(#[from] std::io::Error),
}

/// Why a text is no encrypted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// It was never encrypted.
    #[error("it is not encrypted")]
    Plain,
    /// It is encrypted, but not as text.
    #[error(
        "it is encrypted without armour, so git cannot show it: encrypt it as text (`age --armor`)"
    )]
    Binary,
    /// It was, and is damaged.
    #[error("its encrypted text is damaged")]
    Damaged,
    /// It is too long.
    #[error("it is longer than an encrypted config can be")]
    Long,
}

/// Why an encrypted text stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was encrypted to others.
    #[error("it is not encrypted to this key")]
    OtherKey,
    /// Its content was changed or cut.
    #[error("its encrypted text is damaged")]
    Damaged,
    /// It is too long.
    #[error("it is longer than {} KiB, the most that an encrypted config can hold", CONFIG_BYTES_MAX / 1024)]
    Long,
}

/// True for a text that begins as an encrypted one does.
#[must_use]
pub fn seems_sealed(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(FIRST_LINE)
}

/// Encrypts to an audience. Each time the text is another one.
///
/// # Errors
/// There is nobody to encrypt it to, two of them share a key, or it is too long.
pub fn seal(plain: &[u8], audience: &Audience) -> Result<String, SealError> {
    let mut readers = audience.iter().collect::<Vec<_>>();
    readers.sort_by_key(|reader| reader.recipient());
    let mut pairs = readers.iter().zip(readers.iter().skip(1));
    if let Some((one, other)) = pairs.find(|(one, other)| one.recipient() == other.recipient()) {
        return Err(SealError::SameKey(one.to_string(), other.to_string()));
    }
    if readers.is_empty() {
        return Err(SealError::Nobody);
    }
    if plain.len() as u64 > CONFIG_BYTES_MAX {
        return Err(SealError::Long);
    }
    let names = Names(audience);
    let recipients = readers.iter().map(|reader| &reader.recipient().key as _);
    let encryptor = Encryptor::with_recipients(recipients.chain(iter::once(&names as _)))?;
    let mut text = Vec::new();
    let armour = ArmoredWriter::wrap_output(&mut text, Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armour)?;
    writer.write_all(plain)?;
    writer.finish()?.finish()?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// An encrypted text whose header could be read.
pub struct Sealed<'a> {
    text: &'a [u8],
    readers: Option<Audience>,
}

impl<'a> Sealed<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// It is no encrypted text.
    pub fn read(text: &'a [u8]) -> Result<Self, SealedError> {
        if !seems_sealed(text) {
            let is_binary = text.starts_with(BINARY);
            return Err(if is_binary {
                SealedError::Binary
            } else {
                SealedError::Plain
            });
        }
        // Base64 in lines, and room for the header.
        if text.len() as u64 > CONFIG_BYTES_MAX * 2 {
            return Err(SealedError::Long);
        }
        let decryptor = Decryptor::new(ArmoredReader::new(text));
        let looker = Looker::default();
        match decryptor.map(|decryptor| decryptor.decrypt(iter::once(&looker as _)).map(drop)) {
            Ok(Err(DecryptError::NoMatchingKeys)) => Ok(Self {
                text,
                readers: looker.readers(),
            }),
            _ => Err(SealedError::Damaged),
        }
    }

    /// Who can read it, as its header says; none when another program has encrypted it, which does not say.
    /// That the header is genuine is only known when it has been opened.
    #[must_use]
    pub fn readers(&self) -> Option<&Audience> {
        self.readers.as_ref()
    }

    /// Opens it with any of the keys.
    ///
    /// # Errors
    /// It was encrypted to others, or is damaged.
    pub fn open(&self, keys: &Keys) -> Result<Plain, OpenError> {
        let identities = keys.all().map(|Identity(key)| key as &dyn age::Identity);
        let decryptor =
            Decryptor::new(ArmoredReader::new(self.text)).map_err(|_| OpenError::Damaged)?;
        let reader = decryptor.decrypt(identities).map_err(|error| match error {
            DecryptError::NoMatchingKeys => OpenError::OtherKey,
            _ => OpenError::Damaged,
        })?;
        // Once, so that no copy of it is left where it had no room to grow.
        let mut plain = Zeroizing::new(Vec::with_capacity(self.text.len()));
        reader
            .take(CONFIG_BYTES_MAX + 1)
            .read_to_end(&mut plain)
            .map_err(|_| OpenError::Damaged)?;
        if plain.len() as u64 > CONFIG_BYTES_MAX {
            return Err(OpenError::Long);
        }
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reader, Role};

    fn audience(keys: &[(&str, &Keys)]) -> Audience {
        let reader =
            |(name, keys): &(&str, &Keys)| Reader::new(Role::Host, name, keys.recipient()).unwrap();
        keys.iter().map(reader).collect()
    }

    #[test]
    fn each_reader_opens_it_and_nobody_else() {
        let (one, two, other) = (Keys::generate(), Keys::generate(), Keys::generate());
        let readers = audience(&[("one", &one), ("two", &two)]);
        for plain in [&b""[..], b"correct horse\n", &[0xff; 70_000]] {
            let text = seal(plain, &readers).unwrap();
            let sealed = Sealed::read(text.as_bytes()).unwrap();
            assert_eq!(sealed.readers(), Some(&readers));
            for keys in [&one, &two, &two.clone().renewed()] {
                assert_eq!(sealed.open(keys).unwrap().as_slice(), plain);
            }
            assert_eq!(sealed.open(&other).unwrap_err(), OpenError::OtherKey);
            assert_ne!(seal(plain, &readers).unwrap(), text);
        }
    }

    /// What age 1.1.1 has written for this key, which nobody uses.
    const OTHERS: &str = "\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSAwcmxoOERGWjlrVkJSbnhH
YTlOOWZIaHpQZGJrSS9Vb3I0OTZ3TlplTkhrClZHUW5WcDgxclg1c3o2NkNWa0Z0
M2RVRitFU2tzR2J5VnFoc3JkTzBlYkEKLS0tIGl4U2hweGswZ09RUVR6L1k5aFJz
cGpmV1ZxR2l4LzN0b093dEIrUjdaYW8Kyy+iEHGD4LrTcTO1S2lHGP7kWH3pV0D2
pdXdIl2qrZm9wlLzTsfxEVCRxk6mTg==
-----END AGE ENCRYPTED FILE-----
";
    const KEY: &str = "AGE-SECRET-KEY-17H6ZYJEFF8L97FGW3HRGXUCECG6HCDPDYXTVTYPTVRJQ3TKJ3MUS26C7RX";

    #[test]
    fn a_file_of_another_program_is_opened_and_says_nothing_of_its_readers() {
        let sealed = Sealed::read(OTHERS.as_bytes()).unwrap();
        assert_eq!(sealed.readers(), None);
        let plain = sealed.open(&Keys::parse(KEY).unwrap()).unwrap();
        assert_eq!(plain.as_slice(), b"correct horse\n");
    }

    #[test]
    fn what_was_changed_or_cut_is_not_opened() {
        let keys = Keys::generate();
        let text = seal(&[b'x'; 1000], &audience(&[("one", &keys)])).unwrap();
        let bytes = text.as_bytes();
        for place in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1;
            let opened = Sealed::read(&changed).map(|sealed| sealed.open(&keys));
            // What stands after the last line belongs to no message.
            let is_opened = matches!(opened, Ok(Ok(_))) && place < bytes.len() - 1;
            assert!(!is_opened, "byte {place} of {}", bytes.len());
        }
        for length in (0..bytes.len() - 1).step_by(7) {
            let opened = Sealed::read(&bytes[..length]).map(|sealed| sealed.open(&keys));
            assert!(!matches!(opened, Ok(Ok(_))), "{length} bytes");
        }
    }

    #[test]
    fn what_is_no_encrypted_text_is_refused() {
        let check = |text: &[u8], expected| {
            assert_eq!(Sealed::read(text).map(drop).unwrap_err(), expected);
        };
        check(b"", SealedError::Plain);
        check(b"password\n", SealedError::Plain);
        check(b"age-encryption.org/v1\n", SealedError::Binary);
        check(FIRST_LINE, SealedError::Damaged);
        let mut long = FIRST_LINE.to_vec();
        long.resize(2_000_000, b'A');
        check(&long, SealedError::Long);
        let nobody = seal(b"x", &Audience::new());
        assert!(matches!(nobody, Err(SealError::Nobody)));
        let keys = Keys::generate();
        let twice = seal(b"x", &audience(&[("one", &keys), ("two", &keys)]));
        assert!(matches!(twice, Err(SealError::SameKey(..))));
        let long = seal(&[0; 600_000], &audience(&[("one", &keys)]));
        assert!(matches!(long, Err(SealError::Long)));
    }
}
