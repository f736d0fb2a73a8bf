//! The daemon: makes the pods of a host equal to its files.
//!
//! ```text
//! watch ─▶ scan ─▶ desired ─┐
//!                           ├─▶ plan ─▶ operation ─▶ hands: ask the plugin ─▶ run its steps
//! shims, probes ─▶ life ────┘                └─▶ .pod.status, portmappings.conf
//! ```
//!
//! Planning (`life`, `plan`) is pure; one task (`driver`) owns each release; effects are in `hands`,
//! `steps`, `shim`, `probe` and `publish`. A daemon that ends or is killed leaves every pod running.

pub mod ask;
pub mod attach;
pub mod cgroup;
pub mod daemon;
pub mod decrypt;
mod descendants;
pub mod driver;
pub mod foreign;
pub mod gate;
pub mod hand;
pub mod hands;
pub mod home;
pub mod keep;
pub mod life;
pub mod lock;
pub mod log;
pub mod looks;
pub mod open_files;
pub mod owner;
pub mod plan;
pub mod plugins;
pub mod pod;
mod port;
pub mod probe;
pub mod process;
pub mod publish;
pub mod ramdisk;
pub mod receive;
pub mod root;
pub mod runtime;
pub mod scan;
pub mod secrets;
pub mod shim;
pub mod step;
pub mod steps;
pub mod system;
pub mod systemd;
pub mod watch;
