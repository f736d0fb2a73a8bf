//! A client and its server at rest.

use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Pair, Phase};
use crate::flow::{Flow, FrozenFlow};
use crate::frozen::{Descriptors, Thaw};
use crate::mouth::{FrozenMouth, Mouth};
use crate::socket::{FrozenSocket, Socket};
use crate::table::At;

/// A pair at rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FrozenPair {
    server: FrozenSocket,
    up: FrozenFlow,
    down: FrozenFlow,
    up_runs: bool,
    down_runs: bool,
    mouth: FrozenMouth,
    said: Option<Box<[u8]>>,
    phase: FrozenPhase,
    /// The cluster port and the address of the backend that counts it.
    place: Option<(u16, At)>,
}

/// The end of a pair at rest: the numbers of the errors, and what is left of the time.
#[derive(Debug, Serialize, Deserialize)]
enum FrozenPhase {
    Both,
    ServerLeft {
        why: i32,
        left: Duration,
        told: bool,
    },
    ClientLeft {
        why: i32,
        left: Duration,
    },
}

impl Pair {
    pub(crate) fn freeze(self, descriptors: &mut Descriptors, now: Instant) -> FrozenPair {
        FrozenPair {
            server: self.server.freeze(descriptors),
            up: self.up.freeze(descriptors),
            down: self.down.freeze(descriptors),
            up_runs: self.up_runs,
            down_runs: self.down_runs,
            mouth: self.mouth.freeze(),
            said: self.said,
            phase: self.phase.freeze(now),
            place: self.lease.map(|lease| lease.place()),
        }
    }

    pub(crate) fn thaw(
        frozen: FrozenPair,
        began: Instant,
        thaw: &mut Thaw<'_>,
    ) -> io::Result<Self> {
        Ok(Self {
            server: Socket::thaw(frozen.server, thaw.descriptors)?,
            up: Flow::thaw(frozen.up, thaw.descriptors)?,
            down: Flow::thaw(frozen.down, thaw.descriptors)?,
            up_runs: frozen.up_runs,
            down_runs: frozen.down_runs,
            mouth: Mouth::thaw(frozen.mouth, began, thaw),
            said: frozen.said,
            phase: Phase::thaw(&frozen.phase, thaw.now),
            lease: frozen.place.map(|place| thaw.table.hold(place)),
        })
    }
}

impl Phase {
    fn freeze(self, now: Instant) -> FrozenPhase {
        let number = |why: &io::Error| {
            let reset = rustix::io::Errno::CONNRESET.raw_os_error();
            why.raw_os_error().unwrap_or(reset)
        };
        match self {
            Self::Both => FrozenPhase::Both,
            Self::ServerLeft { why, until, told } => FrozenPhase::ServerLeft {
                why: number(&why),
                left: until.saturating_duration_since(now),
                told,
            },
            Self::ClientLeft { why, until } => FrozenPhase::ClientLeft {
                why: number(&why),
                left: until.saturating_duration_since(now),
            },
        }
    }

    fn thaw(frozen: &FrozenPhase, now: Instant) -> Self {
        match *frozen {
            FrozenPhase::Both => Self::Both,
            FrozenPhase::ServerLeft { why, left, told } => Self::ServerLeft {
                why: io::Error::from_raw_os_error(why),
                until: now + left,
                told,
            },
            FrozenPhase::ClientLeft { why, left } => Self::ClientLeft {
                why: io::Error::from_raw_os_error(why),
                until: now + left,
            },
        }
    }
}
