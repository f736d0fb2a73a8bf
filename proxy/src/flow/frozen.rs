//! A direction at rest: what was read and not yet taken, in memory or in a pipe.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Flow, Moved, Way};
use crate::frozen::Descriptors;
use crate::pipes::{FrozenPipe, Pipe};

/// A direction at rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FrozenFlow {
    moved: Moved,
    pending: Vec<u8>,
    is_long: bool,
    /// One with something in it; an empty one is not worth its way.
    pipe: Option<FrozenPipe>,
    row: u8,
    heard_all: bool,
}

impl Flow {
    pub(crate) fn freeze(self, descriptors: &mut Descriptors) -> FrozenFlow {
        let is_long = self.is_long();
        let pipe = match self.way {
            Way::Piped(Some(pipe)) if !pipe.is_empty() => Some(pipe.freeze(descriptors)),
            Way::Piped(_) | Way::Copied => None,
        };
        FrozenFlow {
            moved: self.moved,
            pending: self.pending,
            is_long,
            pipe,
            row: self.row,
            heard_all: self.heard_all,
        }
    }

    pub(crate) fn thaw(frozen: FrozenFlow, descriptors: &mut Descriptors) -> io::Result<Self> {
        let pipe = frozen.pipe.map(|pipe| Pipe::thaw(&pipe, descriptors));
        let pipe = pipe.transpose()?;
        Ok(Self {
            moved: frozen.moved,
            pending: frozen.pending,
            way: match frozen.is_long {
                true => Way::Piped(pipe),
                false => Way::Copied,
            },
            row: frozen.row,
            heard_all: frozen.heard_all,
        })
    }
}
