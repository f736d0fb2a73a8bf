//! What the tests of several crates need: a Cluster Project in a temporary folder, our own programs, a
//! daemon, a podman, a registry, an SSH server, a terminal, a small disk, a user, a network of hosts, a machine to set up and a typical cluster of five hosts that never outlive their test, golden files,
//! redaction, soak counts and seeds.
//!
//! For tests and `xtask` only; no shipped crate depends on it. It knows the programs from outside and
//! no crate of the project from inside, so any crate may use it in its tests.

mod cluster;
mod component;
mod daemon;
mod golden;
mod machine;
mod mount;
mod net;
mod network;
mod outcome;
mod podman;
mod program;
mod redact;
mod registry;
pub mod soak;
mod sshd;
mod terminal;
mod typical;
mod user;
mod wait;

pub use cluster::Cluster;
pub use component::{component, importing};
pub use daemon::Daemon;
pub use golden::check;
pub use machine::Machine;
pub use mount::SmallDisk;
pub use net::{fetch, free_port};
pub use network::Network;
pub use outcome::Outcome;
pub use podman::Podman;
pub use program::program;
pub use redact::Redactor;
pub use registry::Registry;
pub use sshd::{SshAgent, Sshd, login_name, make_ssh_key, ssh_fingerprint};
pub use terminal::Terminal;
pub use typical::TypicalCluster;
pub use user::User;
pub use wait::wait_until;
