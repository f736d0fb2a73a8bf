//! Everything that a proxy carries, at rest: what one program hands to the next, which goes on with it.
//!
//! ```text
//! workers ──freeze──▶ Frozen ──execve──▶ Frozen ──thaw──▶ workers
//!                     state, a text of bytes (postcard)
//!                     descriptors, named in the state by their place
//! ```
//!
//! The two programs need not be the same, so the state has a number: [`FORMAT`] changes with every change of a type
//! that it is made of, and nobody thaws another one's. What everybody can go on with are the [`doors`].

mod descriptors;
mod doors;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(crate) use self::descriptors::Descriptors;
pub use self::doors::DOORS_FORMAT;
use crate::Patience;
use crate::connection::{Connection, Entrance, FrozenConnection};
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
    /// There are keys in it.
    pub(crate) state: Zeroizing<Vec<u8>>,
    pub(crate) descriptors: Descriptors,
}

/// What is carried.
#[derive(Debug, Default, Serialize, Deserialize)]
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
        // What a vector leaves behind when it grows is not wiped.
        let size = postcard::serialize_with_flavor(state, Size::default());
        let format = FORMAT.to_le_bytes();
        let mut bytes = Zeroizing::new(vec![0; format.len() + size.map_err(io::Error::other)?]);
        let (start, rest) = bytes.split_at_mut(format.len());
        start.copy_from_slice(&format);
        postcard::to_slice(state, rest).map_err(io::Error::other)?;
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
    pub fn check(&self) -> io::Result<()> {
        self.open().map(drop)
    }

    /// Whether this program can go on with it to the last descriptor. Nothing moves meanwhile, and whoever has given
    /// it away can go on as well.
    ///
    /// # Errors
    /// As with [`Self::check`], or a descriptor is missing.
    pub fn rehearse(mut self) -> io::Result<()> {
        let state = self.open()?;
        let mut thaw = Thaw {
            descriptors: &mut self.descriptors,
            table: &mut Table::default(),
            patience: Patience::default(),
            now: Instant::now(),
        };
        for door in state.doors {
            thaw.descriptors.take(door.listener)?;
        }
        for connection in state.connections {
            Connection::thaw(connection, &mut thaw)?;
        }
        Ok(())
    }

    pub(crate) fn open(&self) -> io::Result<State> {
        if let Some(state) = doors::read(&self.state) {
            return state;
        }
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
