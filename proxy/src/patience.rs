//! How long a proxy waits where only time can decide.
//!
//! The defaults are right for every cluster, so proxy.conf does not mention them; they can be set so
//! that a test never depends on how fast its machine is.

use std::time::Duration;

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a target that wants a PROXY header waits for a client that says nothing at all, counted
    /// from its connecting. HAProxy sends its header with the first packet; the default, 250 ms, covers
    /// one retransmission of that packet.
    pub silence_max: Duration,
    /// How long first bytes that look like the beginning of a header are held back; by default 1 s.
    pub partial_max: Duration,
    /// How long a client that has to send a header may take for it, counted from its connecting; by default 10 s.
    pub header_max: Duration,
    /// How long until the files are looked at without anybody having said that they changed; by default
    /// 5 s.
    pub look_every: Duration,
    /// Within how long at most ten warnings of a kind are told; by default 1 s. Zero: all are told.
    pub ten_warnings_in: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silence_max: Duration::from_millis(250),
            partial_max: Duration::from_secs(1),
            header_max: Duration::from_secs(10),
            look_every: Duration::from_secs(5),
            ten_warnings_in: Duration::from_secs(1),
        }
    }
}
