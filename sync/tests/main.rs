//! A sync from outside: real projects and host homes in temporary directories.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what is wrong by stopping; clippy sees only the bodies of test functions as tests"
)]

mod back;
mod chain;
mod durability;
mod faults;
mod fuzz;
mod near;
mod plan;
mod random;
mod refusals;
mod whole;
mod wire;
mod world;
