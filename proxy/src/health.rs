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

/// How a backend stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against it.
    #[default]
    Good,
    /// It was ejected, and it is time that somebody tries it.
    Due,
    /// It comes last.
    Ejected,
}

/// What is known of one backend. Times are milliseconds on any one clock.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Failures in a row that count.
    failures: AtomicU32,
    /// 0, or until when it comes last, doubled, and one more while somebody tries it for all.
    ejected: AtomicU64,
    /// How long it takes to be connected with, in microseconds, as a moving average.
    answers_us: AtomicU32,
    /// When it was ejected for the first time since it has last answered; only read while it is ejected.
    ejected_since: AtomicU64,
}

/// A backend comes last from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ejection {
    /// How many times in a row it has not answered, as far as that counts.
    pub(crate) failures: u32,
    /// For how long.
    pub(crate) time: Duration,
}

/// A backend that was ejected is as good as any other again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Readmission {
    /// How many times in a row it had not answered before.
    pub(crate) failures: u32,
    /// How long ago it was ejected for the first time.
    pub(crate) away: Duration,
}

impl Health {
    /// How it stands.
    pub(crate) fn standing(&self, now_ms: u64) -> Standing {
        match self.ejected.load(Ordering::Relaxed) {
            0 => Standing::Good,
            ejected if ejected >> 1 <= now_ms => Standing::Due,
            _ => Standing::Ejected,
        }
    }

    /// True for the one that tries it for all, when it is due.
    pub(crate) fn try_it(&self, now_ms: u64) -> bool {
        let ejected = self.ejected.load(Ordering::Relaxed);
        let trial = ((now_ms + TRIAL_MS) << 1) | 1;
        let order = Ordering::Relaxed;
        ejected != 0
            && ejected >> 1 <= now_ms
            && self
                .ejected
                .compare_exchange(ejected, trial, order, order)
                .is_ok()
    }

    /// How long it takes to be connected with.
    pub(crate) fn answers_in(&self) -> Duration {
        Duration::from_micros(self.answers_us.load(Ordering::Relaxed).into())
    }

    /// It has answered within that time; what that ends when it had been ejected.
    pub(crate) fn answered(&self, took: Duration, now_ms: u64) -> Option<Readmission> {
        let new = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let old = self.answers_us.load(Ordering::Relaxed);
        let average = if old == 0 {
            new
        } else {
            old - old / WEIGHT + new / WEIGHT
        };
        self.answers_us.store(average, Ordering::Relaxed);
        let failures = self.failures.load(Ordering::Relaxed);
        if failures > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        let was_ejected = self.ejected.load(Ordering::Relaxed) != 0
            && self.ejected.swap(0, Ordering::Relaxed) != 0;
        was_ejected.then(|| {
            let since = self.ejected_since.load(Ordering::Relaxed);
            Readmission {
                failures,
                away: Duration::from_millis(now_ms.saturating_sub(since)),
            }
        })
    }

    /// It has not answered; how it is ejected when that was one failure too many. One that is ejected
    /// already was tried because nobody else serves, which says nothing new.
    pub(crate) fn failed(&self, now_ms: u64) -> Option<Ejection> {
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
        if ejected == 0 {
            self.ejected_since.store(now_ms, Ordering::Relaxed);
        }
        self.ejected.store((now_ms + time) << 1, Ordering::Relaxed);
        Some(Ejection {
            failures,
            time: Duration::from_millis(time),
        })
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
                if let Some(ejection) = health.failed(now) {
                    times.push((ejection.failures, ejection.time.as_secs()));
                }
            }
            now += 60_000;
            assert!(health.try_it(now), "somebody tries it");
        }
        let seconds = [5, 10, 20, 40, 60, 60, 60, 60, 60, 60];
        assert_eq!(times, (3..).zip(seconds).collect::<Vec<_>>());
        let back = health.answered(Duration::ZERO, now).unwrap();
        assert_eq!((back.failures, back.away.as_secs()), (12, 600));
        let fresh = Health::default();
        for _ in 0..10 {
            assert_eq!((fresh.failed(0), fresh.failed(0)), (None, None));
            assert!(
                fresh.answered(Duration::ZERO, 0).is_none(),
                "it was never ejected"
            );
        }
    }

    #[test]
    fn one_client_tries_for_all() {
        let health = Health::default();
        for _ in 0..3 {
            health.failed(1_000);
        }
        let is = |now, standing| assert_eq!(health.standing(now), standing, "at {now}");
        is(5_999, Standing::Ejected);
        assert!(!health.try_it(5_999));
        is(6_000, Standing::Due);
        is(6_000, Standing::Due);
        assert!(health.try_it(6_000) && !health.try_it(6_000));
        is(6_999, Standing::Ejected);
        // The one before has never said a word.
        is(7_000, Standing::Due);
        assert!(health.try_it(7_000));
        let back = health.answered(Duration::ZERO, 7_000).unwrap();
        assert_eq!((back.failures, back.away.as_secs()), (3, 6));
        is(7_000, Standing::Good);
        assert!(!health.try_it(7_000));
        // It has to fail three times again.
        let times = (0..3).filter_map(|_| health.failed(8_000).map(|ejection| ejection.time));
        assert_eq!(times.collect::<Vec<_>>(), [Duration::from_secs(5)]);
    }

    #[test]
    fn times_of_answering_are_averaged() {
        let health = Health::default();
        health.answered(Duration::from_micros(800), 0);
        assert_eq!(health.answers_in(), Duration::from_micros(800));
        health.answered(Duration::from_micros(1600), 0);
        assert_eq!(health.answers_in(), Duration::from_micros(900));
        for _ in 0..100 {
            health.answered(Duration::from_micros(1600), 0);
        }
        assert!(health.answers_in() > Duration::from_micros(1500));
    }
}
