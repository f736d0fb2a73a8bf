//! Large contents in pieces whose ends depend on what is in them, so that two versions of a file share most pieces
//! wherever something was put in or taken out.
//!
//! The cutting is FastCDC (v2020). Both ends must cut alike to profit, but nothing is wrong if they do not: each piece
//! is known by its digest, and so is the whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use fastcdc::v2020::StreamCDC;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// Contents of more than this are sent in pieces, in bytes.
pub(crate) const WHOLE_BYTES_MAX: u64 = 1024 * 1024;

/// Smallest, usual and largest size of a piece, in bytes.
const PIECE_BYTES_MIN: usize = 16 * 1024;
const PIECE_BYTES_USUAL: usize = 64 * 1024;
/// Largest size of a piece, in bytes.
pub(crate) const PIECE_BYTES_MAX: usize = 256 * 1024;

/// What a large content is made of, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recipe(pub Vec<Piece>);

/// One piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// What it is.
    pub digest: Digest,
    /// How long it is, in bytes.
    pub length: u32,
}

impl Recipe {
    /// Cuts a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut pieces = Vec::new();
        cut(File::open(path)?, |_, bytes| {
            pieces.push(Piece {
                digest: Digest::of(bytes),
                length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            });
        })?;
        Ok(Self(pieces))
    }

    /// How long the content is, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.iter().map(|piece| u64::from(piece.length)).sum()
    }
}

/// Cuts a stream; gives the offset and the bytes of every piece.
///
/// # Errors
/// It cannot be read.
pub(crate) fn cut(stream: impl Read, mut each: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let cutter = StreamCDC::new(stream, PIECE_BYTES_MIN, PIECE_BYTES_USUAL, PIECE_BYTES_MAX);
    for piece in cutter {
        let piece = piece.map_err(io::Error::other)?;
        each(piece.offset, &piece.data);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Bytes that do not repeat.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect()
    }

    fn pieces(bytes: &[u8]) -> BTreeSet<Digest> {
        let mut pieces = BTreeSet::new();
        cut(bytes, |_, piece| {
            pieces.insert(Digest::of(piece));
        })
        .unwrap();
        pieces
    }

    #[test]
    fn what_is_put_in_changes_few_pieces() {
        let before = noise(8 * 1024 * 1024);
        let mut after = before.clone();
        after.splice(1_000_000..1_000_000, *b"put in");
        let (before, after) = (pieces(&before), pieces(&after));
        let new = after.difference(&before).count();
        assert!(before.len() > 60, "{} pieces", before.len());
        assert!(new <= 3, "{new} of {} are new", after.len());
    }

    #[test]
    fn pieces_are_the_whole() {
        let bytes = noise(3_000_000);
        let mut joined: Vec<u8> = Vec::new();
        cut(bytes.as_slice(), |offset, piece| {
            assert_eq!(offset, joined.len() as u64);
            assert!(piece.len() <= PIECE_BYTES_MAX);
            joined.extend(piece);
        })
        .unwrap();
        assert!(joined == bytes);
    }
}
