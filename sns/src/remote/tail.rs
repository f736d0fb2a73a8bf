//! The last that a command wrote to its standard error: it goes into the message when the command fails.

use std::sync::{Arc, Mutex, PoisonError};

/// So much of it is kept.
const TAIL_BYTES_MAX: usize = 64 * 1024;

/// The end of a text that may have no end.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    /// Adds what came, and forgets what is too long ago.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let surplus = kept.len().saturating_sub(TAIL_BYTES_MAX);
        kept.drain(..surplus);
    }

    /// What is kept.
    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let tail = Tail::default();
        for _ in 0..10 {
            tail.push(&[b'x'; 10_000]);
        }
        tail.push(b"why");
        let text = tail.text();
        assert!(text.len() == TAIL_BYTES_MAX && text.ends_with("xwhy"));
    }
}
