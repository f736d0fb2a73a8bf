//! Tests of the crate as its callers see it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed test shall stop where it failed"
)]

mod example;
mod golden;
mod places;
mod properties;
mod shapes;
