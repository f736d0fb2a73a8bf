//! Rounds and their median.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::program::Program;

/// How often the shell is started for the baseline.
const SHELL_ROUNDS: usize = 50;

/// The median of several rounds. Each gives its own time, so that what has to be prepared for a round
/// is not counted.
pub(super) fn median(
    rounds: usize,
    mut round: impl FnMut(usize) -> Result<Duration>,
) -> Result<Duration> {
    median_of((0..rounds).map(&mut round).collect::<Result<_>>()?)
}

/// The median of times that were taken already.
pub(super) fn median_of(mut times: Vec<Duration>) -> Result<Duration> {
    times.sort_unstable();
    times
        .get(times.len() / 2)
        .copied()
        .context("a measurement needs at least one round")
}

/// How long one call takes.
pub(super) fn time(call: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    call()?;
    Ok(start.elapsed())
}

/// `sh -c true`: what the original pays for every single thing that it does.
pub(super) fn shell() -> Result<Duration> {
    median(SHELL_ROUNDS, |_| {
        time(|| Program::new("sh").args(["-c", "true"]).output().map(drop))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_rounds() {
        let times = [9, 1, 5].map(Duration::from_secs);
        assert_eq!(
            median(3, |round| Ok(times[round])).unwrap(),
            Duration::from_secs(5)
        );
        assert!(median(0, |_| Ok(Duration::ZERO)).is_err());
    }
}
