//! Container pods as a person has them: `sns pod compile`, `sns cluster sync`, the daemon, and a real podman
//! that belongs to the test. No test is skipped: what it needs is installed by `cargo xtask test`.

mod alone;
mod hand;
mod host;
mod images;
mod life;
mod network;
mod probes;
mod rights;
mod rootless;
mod secrets;
mod survival;
mod trouble;
mod volumes;
