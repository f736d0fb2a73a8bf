//! How much the looks of one operation may bring. A plugin may ask for many, and each may bring megabytes: all of
//! it is held until the plugin has planned, for every release that it plans for.

use std::sync::Arc;

use simplenetes_plugin::Answer;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Looks of one operation, all rounds together.
const LOOKS_MAX: u32 = 100;
/// Bytes of all their answers: half of what the memory of a plugin could hold.
const BYTES_MAX: usize = 16 << 20;
/// Bytes of all answers that are held for pods of one kind at once.
pub(super) const KIND_BYTES_MAX: usize = 16 * BYTES_MAX;

/// An answer that cannot be held.
#[derive(Debug, Error)]
pub(super) enum Full {
    #[error("looks at more than {} MiB for one operation", BYTES_MAX >> 20)]
    Operation,
    #[error(
        "looks at more than {} MiB for all its pods at once",
        KIND_BYTES_MAX >> 20
    )]
    Kind,
}

impl Full {
    /// True when it would be so again.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Operation)
    }
}

/// What was looked at so far.
#[derive(Debug)]
pub(super) struct Looked {
    looks_left: u32,
    bytes_left: usize,
    /// The bytes that pods of the kind may still hold.
    kind: Arc<Semaphore>,
    /// Those that this operation holds, until it is dropped.
    held: Vec<OwnedSemaphorePermit>,
}

impl Looked {
    /// Nothing yet. `kind` has a permit for each byte that pods of the kind may still hold.
    pub(super) fn new(kind: Arc<Semaphore>) -> Self {
        Self {
            looks_left: LOOKS_MAX,
            bytes_left: BYTES_MAX,
            kind,
            held: Vec::new(),
        }
    }

    /// Counts one more look, before it is run.
    pub(super) fn begin(&mut self) -> Result<(), String> {
        let left = self.looks_left.checked_sub(1);
        let too_many = || format!("wants more than {LOOKS_MAX} looks for one operation");
        self.looks_left = left.ok_or_else(too_many)?;
        Ok(())
    }

    /// Counts what it brought.
    pub(super) fn add(&mut self, answer: &Answer) -> Result<(), Full> {
        let bytes = answer.stdout.len() + answer.stderr.len();
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or(Full::Operation)?;
        let bytes = u32::try_from(bytes).map_err(|_| Full::Operation)?;
        let held = Arc::clone(&self.kind).try_acquire_many_owned(bytes);
        self.held.push(held.map_err(|_| Full::Kind)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> Answer {
        Answer {
            stdout: vec![0; bytes - 1],
            stderr: vec![0],
            ..Answer::default()
        }
    }

    #[test]
    fn looks_and_what_they_bring_have_an_end() {
        let mut looked = Looked::new(Arc::new(Semaphore::new(KIND_BYTES_MAX)));
        for _ in 0..LOOKS_MAX {
            looked.begin().unwrap();
        }
        assert!(looked.begin().unwrap_err().contains("more than 100 looks"));
        looked.add(&answer(BYTES_MAX - 1)).unwrap();
        looked.add(&answer(1)).unwrap();
        let full = looked.add(&answer(1)).unwrap_err();
        assert!(full.to_string().contains("more than 16 MiB") && full.is_final());
    }

    #[test]
    fn all_pods_of_a_kind_hold_so_much_and_give_it_back() {
        let kind = Arc::new(Semaphore::new(10));
        let new = || Looked::new(Arc::clone(&kind));
        let (mut one, mut other) = (new(), new());
        one.add(&answer(6)).unwrap();
        other.add(&answer(4)).unwrap();
        let full = other.add(&answer(1)).unwrap_err();
        assert!(full.to_string().contains("more than 256 MiB") && !full.is_final());
        drop(one);
        other.add(&answer(6)).unwrap();
        drop(other);
        assert_eq!(kind.available_permits(), 10);
    }
}
