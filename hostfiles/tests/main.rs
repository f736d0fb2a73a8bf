//! The formats and the replacement of files, from outside.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by stopping; clippy sees only the bodies of test functions as tests"
)]

mod paths;
mod refusals;
mod replacing;
mod round_trips;
mod samples;
