//! Everything that a proxy carries, at rest: what one program hands to the next, which goes on with it.
//!
//! ```text
//! workers ──freeze──▶ Frozen ──execve──▶ Frozen ──thaw──▶ workers
//!                     state, a text of bytes (postcard)
//!                     descriptors, named in the state by their place
//! ```
//!
//! The two programs need not be the same, so the state has a number: [`FORMAT`] changes with every change of a type
//! that it is made of, and nobody thaws another one's.

mod descriptors;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub(crate) use self::descriptors::Descriptors;
use crate::Patience;
use crate::connection::{Entrance, FrozenConnection};
use crate::peers::reception::FrozenGuest;
use crate::table::Table;

/// The number of the state that this program writes and reads.
pub const FORMAT: u32 = 1;

/// What is needed to go on with what is at rest.
pub(crate) struct Thaw<'a> {
    pub(crate) descriptors: &'a mut Descriptors,
    pub(crate) table: &'a mut Table,
    pub(crate) patience: Patience,
    pub(crate) now: Instant,
}

impl Thaw<'_> {
    /// When that was.
    pub(crate) fn ago(&self, age: Duration) -> Instant {
        self.now.checked_sub(age).unwrap_or(self.now)
    }
}

/// A proxy at rest.
#[derive(Debug)]
pub struct Frozen {
    pub(crate) state: Vec<u8>,
    pub(crate) descriptors: Descriptors,
}

/// What is carried.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) doors: Vec<FrozenDoor>,
    pub(crate) connections: Vec<FrozenConnection>,
    pub(crate) guests: Vec<FrozenGuest>,
}

/// An open port.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FrozenDoor {
    /// Where it was to be opened.
    pub(crate) wanted: SocketAddr,
    /// Where it is.
    pub(crate) address: SocketAddr,
    pub(crate) entrance: Entrance,
    pub(crate) listener: u32,
}

impl Frozen {
    pub(crate) fn new(state: &State, descriptors: Descriptors) -> io::Result<Self> {
        let mut bytes = FORMAT.to_le_bytes().to_vec();
        bytes.append(&mut postcard::to_stdvec(state).map_err(io::Error::other)?);
        Ok(Self {
            state: bytes,
            descriptors,
        })
    }

    /// How many descriptors go with it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.descriptors.count()
    }

    /// What this program can go on with.
    ///
    /// # Errors
    /// It was written by a program of another format, or is not whole.
    pub(crate) fn open(&self) -> io::Result<State> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let (format, bytes) = self
            .state
            .split_first_chunk()
            .ok_or_else(|| invalid("there is no state".into()))?;
        let format = u32::from_le_bytes(*format);
        if format != FORMAT {
            return Err(invalid(format!(
                "the state has format {format}, and this program knows {FORMAT}"
            )));
        }
        postcard::from_bytes(bytes).map_err(|error| invalid(error.to_string()))
    }
}
