//! Records at rest: the keys, the numbers, and what is under way.

use std::io;

use ring::aead::{CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Direction, Records, SECRET_BYTES};

/// Records at rest.
#[derive(Serialize, Deserialize)]
pub(crate) struct FrozenRecords {
    talking: FrozenDirection,
    hearing: FrozenDirection,
    coming: Vec<u8>,
    opened: Vec<u8>,
    going: Vec<u8>,
    heard_all: bool,
    said_all: bool,
}

#[derive(Serialize, Deserialize)]
struct FrozenDirection {
    secret: [u8; SECRET_BYTES],
    iv: [u8; 12],
    number: u64,
}

impl std::fmt::Debug for FrozenRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrozenRecords")
    }
}

impl Drop for FrozenDirection {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.iv.zeroize();
    }
}

impl Direction {
    fn freeze(&self) -> FrozenDirection {
        FrozenDirection {
            secret: *self.secret,
            iv: self.iv,
            number: self.number,
        }
    }

    fn thaw(frozen: &FrozenDirection) -> io::Result<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &frozen.secret)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self {
            secret: Zeroizing::new(frozen.secret),
            key: LessSafeKey::new(key),
            iv: frozen.iv,
            number: frozen.number,
        })
    }
}

impl Records {
    pub(crate) fn freeze(mut self) -> FrozenRecords {
        self.opened.drain(..self.taken);
        FrozenRecords {
            talking: self.talking.freeze(),
            hearing: self.hearing.freeze(),
            coming: self.coming,
            opened: self.opened,
            going: self.going,
            heard_all: self.heard_all,
            said_all: self.said_all,
        }
    }

    pub(crate) fn thaw(frozen: FrozenRecords) -> io::Result<Self> {
        Ok(Self {
            talking: Direction::thaw(&frozen.talking)?,
            hearing: Direction::thaw(&frozen.hearing)?,
            coming: frozen.coming,
            opened: frozen.opened,
            taken: 0,
            going: frozen.going,
            heard_all: frozen.heard_all,
            said_all: frozen.said_all,
        })
    }
}
