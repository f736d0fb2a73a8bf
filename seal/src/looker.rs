//! Looks at the header of an encrypted file without any key.

use std::cell::RefCell;

use age::DecryptError;
use age_core::format::{FileKey, Stanza};

use crate::{Audience, Reader};

/// The kind of header line by which a reader gets in.
const DOOR: &str = "X25519";

/// Sees every line of the header, and opens nothing.
#[derive(Default)]
pub(crate) struct Looker(RefCell<Seen>);

#[derive(Default)]
struct Seen {
    readers: Audience,
    doors: usize,
}

impl Looker {
    /// The readers; none when the header does not name exactly those who can get in.
    pub(crate) fn readers(self) -> Option<Audience> {
        let seen = self.0.into_inner();
        let is_whole = !seen.readers.is_empty() && seen.readers.len() == seen.doors;
        is_whole.then_some(seen.readers)
    }
}

impl age::Identity for Looker {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let mut seen = self.0.borrow_mut();
        seen.doors += usize::from(stanza.tag == DOOR);
        seen.readers.extend(Reader::of(stanza));
        None
    }
}
