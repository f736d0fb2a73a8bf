//! Whether a backend answers when it is dialled, and how soon: what all workers know of it together.
//!
//! One that fails several times in a row is *ejected*: it comes last for a while, a longer one each time, up to a
//! bound. When the while is over, one client tries it for all; that it answers makes it as good as any other.
//! Ejection never leaves a backend out: where nobody else serves, it is tried.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// So many failures in a row eject a backend.
const FAILURES_MAX: u32 = 3;
/// For how long at first; each further ejection doubles it.
const EJECTED_FIRST_MS: u64 = 5_000;
/// And for how long at most.
const EJECTED_MAX_MS: u64 = 60_000;
/// How long the client that tries an ejected backend is waited for, before another one does.
const TRIAL_MS: u64 = 1_000;
/// A new time of answering counts for one part in so many.
const WEIGHT: u32 = 8;

/// What is known of one backend. Times are milliseconds on any one clock.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Failures in a row that count.
    failures: AtomicU32,
    /// 0, or until when it comes last, doubled, and one more while somebody tries it for all.
    ejected: AtomicU64,
    /// How long it takes to be connected with, in microseconds, as a moving average.
    answers_us: AtomicU32,
}

impl Health {
    /// Whether it comes last now. Of those that ask after its time is over, the first is told that it does not,
    /// and tries it.
    pub(crate) fn is_ejected(&self, now_ms: u64) -> bool {
        let ejected = self.ejected.load(Ordering::Relaxed);
        if ejected == 0 {
            return false;
        }
        let trial = ((now_ms + TRIAL_MS) << 1) | 1;
        let tries = ejected >> 1 <= now_ms
            && self
                .ejected
                .compare_exchange(ejected, trial, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        !tries
    }

    /// How long it takes to be connected with.
    pub(crate) fn answers_in(&self) -> Duration {
        Duration::from_micros(self.answers_us.load(Ordering::Relaxed).into())
    }

    /// It has answered within that time; true when it had been ejected.
    pub(crate) fn answered(&self, took: Duration) -> bool {
        let new = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let old = self.answers_us.load(Ordering::Relaxed);
        let average = if old == 0 {
            new
        } else {
            old - old / WEIGHT + new / WEIGHT
        };
        self.answers_us.store(average, Ordering::Relaxed);
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        self.ejected.load(Ordering::Relaxed) != 0 && self.ejected.swap(0, Ordering::Relaxed) != 0
    }

    /// It has not answered; for how long it is ejected when that was one failure too many. One that is ejected
    /// already was tried because nobody else serves, which says nothing new.
    pub(crate) fn failed(&self, now_ms: u64) -> Option<Duration> {
        let ejected = self.ejected.load(Ordering::Relaxed);
        if ejected != 0 && ejected & 1 == 0 {
            return None;
        }
        let failures = self
            .failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let more = failures.checked_sub(FAILURES_MAX)?;
        let doubled = EJECTED_FIRST_MS << more.min(16);
        let time = doubled.min(EJECTED_MAX_MS);
        self.ejected.store((now_ms + time) << 1, Ordering::Relaxed);
        Some(Duration::from_millis(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_eject_and_each_further_trial_for_longer() {
        let health = Health::default();
        let mut now = 0;
        let mut times = Vec::new();
        for _ in 0..10 {
            // Those that try it because nobody else serves do not count.
            for _ in 0..5 {
                if let Some(time) = health.failed(now) {
                    times.push(time.as_secs());
                }
            }
            now += 60_000;
            assert!(!health.is_ejected(now), "somebody tries it");
        }
        assert_eq!(times, [5, 10, 20, 40, 60, 60, 60, 60, 60, 60]);
        let fresh = Health::default();
        for _ in 0..10 {
            assert_eq!((fresh.failed(0), fresh.failed(0)), (None, None));
            assert!(!fresh.answered(Duration::ZERO), "it was never ejected");
        }
    }

    #[test]
    fn one_client_tries_for_all() {
        let health = Health::default();
        for _ in 0..3 {
            health.failed(1_000);
        }
        assert!(health.is_ejected(5_999));
        assert!(!health.is_ejected(6_000), "this one tries");
        assert!(health.is_ejected(6_000) && health.is_ejected(6_999));
        assert!(
            !health.is_ejected(7_000),
            "the one before has never said a word"
        );
        assert!(health.answered(Duration::ZERO));
        assert!(!health.is_ejected(7_000) && !health.is_ejected(7_000));
        // It has to fail three times again.
        let times = (0..3).filter_map(|_| health.failed(8_000));
        assert_eq!(times.collect::<Vec<_>>(), [Duration::from_secs(5)]);
    }

    #[test]
    fn times_of_answering_are_averaged() {
        let health = Health::default();
        health.answered(Duration::from_micros(800));
        assert_eq!(health.answers_in(), Duration::from_micros(800));
        health.answered(Duration::from_micros(1600));
        assert_eq!(health.answers_in(), Duration::from_micros(900));
        for _ in 0..100 {
            health.answered(Duration::from_micros(1600));
        }
        assert!(health.answers_in() > Duration::from_micros(1500));
    }
}
