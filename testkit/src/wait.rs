//! Waiting for a condition of another process, with a bound and a name.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long to pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `condition` gives a value, for at most `limit`.
///
/// `what` completes the sentence "waited 10 s for …". The bound only ends a test that has failed
/// already; a test that passes ends as soon as the condition holds.
///
/// # Errors
/// The time is over, or the condition itself failed.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_holds_later_is_seen() {
        let mut looks = 0;
        let found = wait_until("the third look", Duration::from_mins(1), || {
            looks += 1;
            Ok((looks == 3).then_some("here"))
        });
        assert_eq!(found.unwrap(), "here");
    }

    #[test]
    fn one_that_never_holds_is_named() {
        let found = wait_until("rain", Duration::ZERO, || Ok(None::<()>));
        assert_eq!(found.unwrap_err().to_string(), "waited 0 s for rain");
    }
}
