//! Secrets as they lie in git: text that age has encrypted, and that says who can read it.
//!
//! The way of a secret: [`Keys`] of hosts and operators → their [`Recipient`]s → the [`Audience`] of a config →
//! [`seal()`] → text in git → [`Sealed`] on the host → [`Keys`] again → plain bytes. The stock `age` program
//! reads and writes the same files. This crate opens no file, and shows neither a secret nor a key in any
//! `Debug` form or error.

mod audience;
mod key;
mod keys;
mod looker;
mod sealed;

pub use audience::{Audience, Reader, ReaderError, Role};
pub use key::{Identity, KeyError, Recipient, RecipientError};
pub use keys::{Keys, KeysError};
pub use sealed::{OpenError, Plain, SealError, Sealed, SealedError, seal, seems_sealed};

/// An encrypted config holds no more than this, in bytes; each file counts as full pages of [`PAGE_BYTES`].
pub const CONFIG_BYTES_MAX: u64 = 512 * 1024;
/// What the smallest file takes in memory.
pub const PAGE_BYTES: u64 = 4096;
/// An encrypted config has no more files and directories than this.
pub const CONFIG_FILES_MAX: usize = 100;

/// What a file of so many bytes takes in memory.
#[must_use]
pub fn in_memory(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_BYTES).max(1) * PAGE_BYTES
}
