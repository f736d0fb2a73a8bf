//! Makes a host home equal to a Cluster Project: one plan, all of it or nothing.
//!
//! Two ends that share nothing but plain data. [`near`] reads the folder of a host in the project into
//! the [`Tree`] that is wanted; [`far`] owns one host home: its lock, the tree that is present, the
//! stage, the journal. [`plan`] compares two trees, purely. They speak over any stream of bytes ([`wire`]); nothing
//! here knows SSH, git or a terminal.

pub mod chain;
mod chunks;
mod digest;
pub mod far;
pub mod near;
mod needs;
pub mod plan;
#[cfg(test)]
mod soak;
mod tree;
pub mod wire;

pub use digest::{Digest, NotADigest};
pub use far::{Far, journal_open, recover};
pub use near::{Near, Wanted};
pub use plan::{Options, Plan, Step};
pub use tree::{Config, Mark, Release, Tree, TreeError};
