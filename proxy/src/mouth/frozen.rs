//! The first bytes of a client at rest. How long silence may last is counted anew.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Mouth, Waiting};
use crate::frozen::Thaw;
use crate::header::Header;
use crate::opening::{Manner, Opening};

/// What is known of a client's first bytes, at rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FrozenMouth {
    Fresh,
    Opening(Manner, Option<Header>, Vec<u8>),
    Open,
}

impl Mouth {
    pub(crate) fn freeze(self) -> FrozenMouth {
        match self {
            Self::Fresh => FrozenMouth::Fresh,
            Self::Opening(waiting) => {
                let (manner, owed, held) = waiting.opening.into_parts();
                FrozenMouth::Opening(manner, owed, held)
            }
            Self::Open => FrozenMouth::Open,
        }
    }

    pub(crate) fn thaw(frozen: FrozenMouth, began: Instant, thaw: &Thaw<'_>) -> Self {
        match frozen {
            FrozenMouth::Fresh => Self::Fresh,
            FrozenMouth::Open => Self::Open,
            FrozenMouth::Opening(manner, owed, held) => {
                let opening = Opening::of_parts(manner, owed, held, thaw.patience);
                Self::Opening(Waiting::new(opening, began, thaw.now))
            }
        }
    }
}
