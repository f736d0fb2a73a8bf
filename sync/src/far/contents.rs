//! Where the stage gets the contents of files from.

use std::path::PathBuf;

use super::FarError;
use crate::Digest;

/// One content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A small one, that was checked to be what the digest says.
    Bytes(Vec<u8>),
    /// A large one: a file that nobody else uses, which was checked too.
    File(PathBuf),
}

/// Has the contents that a host lacks, and those that it has elsewhere.
pub trait Contents {
    /// The content of that digest.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    fn content(&self, digest: &Digest) -> Result<Content, FarError>;
}
