//! Sockets made inside the network namespace of a pod: no tool in its image, no published port and no port
//! forwarder is needed to talk to it.
//!
//! A namespace is entered by a helper, a small process of the program that wants in (see [`serve()`]): whoever
//! is not root has to join the pod's user namespace first, which only a process with a single thread can, and
//! a thread that is in a foreign namespace is good for nothing else. One way for all is better than two.
//!
//! ```text
//! Way::to ─▶ pidfd, start time, /proc/PID/ns/net ─▶ another one than ours? ─▶ Door
//! Door ── pidfd ────────▶ helper: setns          (packets on a socket; descriptors pass with them)
//! Door ── family, count ▶ helper: socket()…
//! Door ◀─ sockets ─────── helper, until the door is closed
//! ```
//!
//! It knows no pod and no probe: a process goes in, sockets come out, and the caller connects them.

mod door;
mod error;
mod process;
mod serve;
mod wire;

pub use door::{Door, Way};
pub use error::ReachError;
pub use process::Process;
pub use serve::{SUBCOMMAND, ServeError, serve};
pub use wire::{Family, SOCKETS_MAX};
