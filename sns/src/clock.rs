//! The only place that reads the wall clock. Everything else takes the time as an argument.

use jiff::Timestamp;

/// The time now, in whole seconds since 1970.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
