//! The engine against real components: the native plugin, and one that goes wrong in every way.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may end at once"
)]

mod cache;
mod calls;
mod components;
mod faults;
mod hostile;
mod native;
