//! A socket at rest. What the kernel has told about it is told again when it is watched anew.

use std::io;

use serde::{Deserialize, Serialize};

use super::Socket;
use crate::frozen::Descriptors;
use crate::records::{FrozenRecords, Records};

/// A socket at rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FrozenSocket {
    socket: u32,
    heard: u64,
    records: Option<FrozenRecords>,
}

impl Socket {
    pub(crate) fn freeze(self, descriptors: &mut Descriptors) -> FrozenSocket {
        FrozenSocket {
            heard: self.heard,
            socket: descriptors.put(self.fd),
            records: self.records.map(|records| records.freeze()),
        }
    }

    pub(crate) fn thaw(frozen: FrozenSocket, descriptors: &mut Descriptors) -> io::Result<Self> {
        let records = frozen.records.map(Records::thaw).transpose()?;
        let fd = descriptors.take(frozen.socket)?;
        let mut socket = Self::of(fd);
        // The end may have been told of already, and is told again, but what was opened is told by nobody.
        socket.readable = records.is_some();
        socket.heard = frozen.heard;
        socket.records = records.map(Box::new);
        Ok(socket)
    }
}
