//! The clock. Everything else is given the time as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Time since the Unix epoch, as this machine's clock has it now.
#[must_use]
pub fn since_epoch() -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A clock that begins at the machine's time and never jumps afterwards, so that neither back-off nor
/// grace is confused by a correction. Under tokio's paused time it stands still as well.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    begin: Instant,
    begin_ms: u64,
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            begin: Instant::now(),
            begin_ms: millis(since_epoch()),
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.begin_ms.saturating_add(millis(self.begin.elapsed()))
    }

    /// The moment at which [`Self::now_ms`] will be `at_ms`.
    #[must_use]
    pub fn instant(&self, at_ms: u64) -> Instant {
        self.begin + Duration::from_millis(at_ms.saturating_sub(self.begin_ms))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
