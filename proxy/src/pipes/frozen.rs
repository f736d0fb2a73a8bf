//! A pipe at rest, with what is in it.

use std::io;

use serde::{Deserialize, Serialize};

use super::Pipe;
use crate::frozen::Descriptors;

/// A pipe at rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FrozenPipe {
    out: u32,
    into: u32,
    bytes: usize,
}

impl Pipe {
    pub(crate) fn freeze(self, descriptors: &mut Descriptors) -> FrozenPipe {
        FrozenPipe {
            out: descriptors.put(self.out),
            into: descriptors.put(self.into),
            bytes: self.bytes,
        }
    }

    pub(crate) fn thaw(frozen: &FrozenPipe, descriptors: &mut Descriptors) -> io::Result<Self> {
        Ok(Self {
            out: descriptors.take(frozen.out)?,
            into: descriptors.take(frozen.into)?,
            bytes: frozen.bytes,
        })
    }
}
