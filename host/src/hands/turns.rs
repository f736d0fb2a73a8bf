//! Turns at plugins: a plugin that thinks until it is stopped takes so many processors and no more,
//! however many pods ask it, and never one from a plugin of another kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many calls of one kind run at once. A call of a plugin in good health takes less than a millisecond.
const CALLS_MAX: usize = 4;

/// The turns of all kinds. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<BTreeMap<String, Arc<Semaphore>>>>);

impl Turns {
    /// Waits for a turn at the plugin of this kind, which lasts until it is dropped.
    pub(super) async fn take(&self, kind: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let of_kind = kinds.entry(kind.to_owned());
            Arc::clone(of_kind.or_insert_with(|| Arc::new(Semaphore::new(CALLS_MAX))))
        };
        // Nobody closes it.
        turns.acquire_owned().await.ok()
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
