//! The search for a backend for one client, and what its proxy is told when there is none.

use std::io;

use crate::asked::Speech;
use crate::dial::{Dialling, Missed};
use crate::lines::{Answer, READ_BYTES};
use crate::request::Reply;
use crate::socket::{Received, Socket};
use crate::tools::Tools;

/// How much of what a client says is kept for a proxy that has not answered yet, in bytes.
const SAID_MAX: usize = 16 << 10;

/// Who looks for a backend.
pub(super) struct Search {
    pub(super) dialling: Dialling,
    /// How the proxy talks whose client it is; none for a client of this one.
    pub(super) asker: Option<Speech>,
    /// What the client has said already.
    pub(super) said: Vec<u8>,
}

impl Search {
    pub(super) fn new(port: u16, asker: Option<Speech>, said: Vec<u8>, tools: &mut Tools) -> Self {
        Self {
            dialling: Dialling::new(port, asker.is_none(), tools),
            asker,
            said,
        }
    }

    /// Hears what the client says meanwhile: another proxy may have it before it has answered.
    pub(super) fn listen(&mut self, client: &mut Socket) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        while client.is_readable() && self.said.len() < SAID_MAX {
            match client.receive(&mut buffer)? {
                Received::Bytes(count) => {
                    self.said
                        .extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                Received::Nothing => {}
                // It is found out once more when there is somebody to be told.
                Received::End => return Ok(()),
            }
        }
        Ok(())
    }
}

/// What a proxy is told whose client nobody serves.
pub(super) fn refusal(asker: Speech, missed: Missed) -> Vec<u8> {
    match (asker, missed) {
        (Speech::Lines, Missed::Nothing) => Vec::new(),
        (Speech::Lines, Missed::Busy | Missed::Soon) => Answer::Busy.to_string().into_bytes(),
        (Speech::Requests, Missed::Nothing) => vec![Reply::Nothing.to_byte()],
        (Speech::Requests, Missed::Busy | Missed::Soon) => vec![Reply::Busy.to_byte()],
    }
}
