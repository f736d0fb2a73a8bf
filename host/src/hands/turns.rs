//! Turns at plugins: a plugin that thinks until it is stopped takes so many processors and no more,
//! however many pods ask it, and never one from a plugin of another kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::looked::KIND_BYTES_MAX;

/// So many calls of one kind run at once. A call of a plugin in good health takes less than a millisecond.
const CALLS_MAX: usize = 4;

/// The turns of all kinds. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<BTreeMap<String, OfKind>>>);

/// What pods of one kind share.
#[derive(Debug, Clone)]
struct OfKind {
    /// Calls that may still begin.
    calls: Arc<Semaphore>,
    /// Bytes of answers to looks that may still be held.
    looked: Arc<Semaphore>,
}

impl Default for OfKind {
    fn default() -> Self {
        Self {
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            looked: Arc::new(Semaphore::new(KIND_BYTES_MAX)),
        }
    }
}

impl Turns {
    /// Waits for a turn at the plugin of this kind, which lasts until it is dropped.
    pub(super) async fn take(&self, kind: &str) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        self.of_kind(kind).calls.acquire_owned().await.ok()
    }

    /// A permit for each byte of answers that may still be held for pods of this kind.
    pub(super) fn looked(&self, kind: &str) -> Arc<Semaphore> {
        self.of_kind(kind).looked
    }

    fn of_kind(&self, kind: &str) -> OfKind {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.entry(kind.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_kind_has_so_many_turns_and_takes_none_of_another() {
        let turns = Turns::default();
        let mut taken = Vec::new();
        for _ in 0..CALLS_MAX {
            taken.push(turns.take("slow").await.unwrap());
        }
        let moment = Duration::from_millis(1);
        assert!(timeout(moment, turns.take("slow")).await.is_err());
        assert!(timeout(moment, turns.take("quick")).await.is_ok());
        taken.pop();
        assert!(timeout(moment, turns.take("slow")).await.is_ok());
    }
}
