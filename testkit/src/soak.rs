//! How much a property test or a seeded simulation does, and from which seed.
//!
//! `SOAK` is a percentage of the full count, 10 when unset; `cargo xtask soak` sets 100. `SOAK_SEED`
//! repeats a run that failed.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// The percentage of the full count when `SOAK` does not say otherwise.
const DEFAULT_PERCENT: u32 = 10;

/// No test does less than this many rounds.
const LEAST: u32 = 10;

/// How many rounds to do of a test that does `full` in a full soak: at least 10.
#[must_use]
pub fn count(full: u32) -> u32 {
    scaled(full, std::env::var("SOAK").ok().as_deref())
}

/// The seed of this run: `SOAK_SEED`, or a random one. Print it when the test fails.
#[must_use]
pub fn seed() -> u64 {
    let asked = std::env::var("SOAK_SEED")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    asked.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

fn scaled(full: u32, percent: Option<&str>) -> u32 {
    let percent = percent
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(DEFAULT_PERCENT);
    let part = u64::from(full) * u64::from(percent) / 100;
    u32::try_from(part).unwrap_or(u32::MAX).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soak_is_a_percentage_with_a_floor() {
        for (full, percent, expected) in [
            (1000, None, 100),
            (1000, Some("100"), 1000),
            (1000, Some("300"), 3000),
            (1000, Some("nonsense"), 100),
            (50, None, 10),
            (3, Some("100"), 10),
            (u32::MAX, Some("4000000000"), u32::MAX),
        ] {
            assert_eq!(scaled(full, percent), expected, "{full} {percent:?}");
        }
    }
}
