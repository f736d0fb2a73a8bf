//! What the two ends of a sync say to each other, and how: frames over any stream of bytes.
//!
//! The near end asks, the far end answers; both send beats meanwhile, so that each notices within
//! [`SILENCE_MAX`] when the other is gone. A line before the first frame tells the far end's words from what a
//! login shell may print first. Must not know how either end does its work.

mod channel;
mod frame;
mod message;

pub use channel::{BEAT_EVERY, Channel, SILENCE_MAX, Traffic};
pub use frame::{FRAME_BYTES_MAX, Frame, WireError};
pub use message::{
    Answer, Ask, Confirmation, HostKeys, Need, PROTOCOLS, Refusal, RefusalKind, Reverted, Seen,
    Standing, StandingKind,
};
pub(crate) use message::{check_plugin, check_tree};
