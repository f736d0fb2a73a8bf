//! A connection at rest. One whose client is still looked a backend for begins that anew.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::search::Search;
use super::{Connection, Stage};
use crate::asked::{Asked, Speech};
use crate::dial::Dialling;
use crate::frozen::{Descriptors, Thaw};
use crate::pair::{FrozenPair, Pair};
use crate::socket::{FrozenSocket, Socket};

/// A connection at rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FrozenConnection {
    port: u16,
    from: SocketAddr,
    destination: Option<Box<SocketAddr>>,
    age: Duration,
    client: FrozenSocket,
    stage: FrozenStage,
}

#[derive(Debug, Serialize, Deserialize)]
enum FrozenStage {
    Asked(Box<Asked>),
    /// Looks for a backend, or waits for a place at one.
    Looks(Option<Speech>, Vec<u8>),
    Joined(Box<FrozenPair>),
}

impl Connection {
    /// None when it cannot go on elsewhere: what its client has said may have been heard by somebody who has not
    /// answered yet.
    pub(crate) fn freeze(
        self,
        descriptors: &mut Descriptors,
        now: Instant,
    ) -> Option<FrozenConnection> {
        let stage = match self.stage {
            Stage::Asked(asked) => FrozenStage::Asked(asked),
            Stage::Queued(waiting) => FrozenStage::Looks(None, waiting.said),
            Stage::Dialling(search) if search.dialling.has_forwarded() => return None,
            Stage::Dialling(search) => FrozenStage::Looks(search.asker, search.said),
            Stage::Joined(pair) => FrozenStage::Joined(Box::new(pair.freeze(descriptors, now))),
        };
        Some(FrozenConnection {
            port: self.port,
            from: self.from,
            destination: self.destination,
            age: now.saturating_duration_since(self.began),
            client: self.client.freeze(descriptors),
            stage,
        })
    }

    pub(crate) fn thaw(frozen: FrozenConnection, thaw: &mut Thaw<'_>) -> io::Result<Self> {
        let began = thaw.ago(frozen.age);
        let client = Socket::thaw(frozen.client, thaw.descriptors)?;
        let stage = match frozen.stage {
            FrozenStage::Asked(asked) => Stage::Asked(asked),
            FrozenStage::Looks(asker, said) => Stage::Dialling(Box::new(Search {
                dialling: Dialling::anew(frozen.port, asker.is_none()),
                asker,
                said,
            })),
            FrozenStage::Joined(pair) => Stage::Joined(Box::new(Pair::thaw(*pair, began, thaw)?)),
        };
        Ok(Self {
            port: frozen.port,
            from: frozen.from,
            destination: frozen.destination,
            began,
            client,
            stage,
        })
    }

    /// Whether a backend is being looked for right now.
    pub(crate) fn is_dialling(&self) -> bool {
        matches!(self.stage, Stage::Dialling(_))
    }
}
