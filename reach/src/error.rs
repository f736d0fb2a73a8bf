//! Why a pod could not be reached.

use std::io;
use std::path::PathBuf;

/// Why there is no way into a pod, or no socket from there.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The process has ended, and its namespace may be gone with it; or its number is another one's now.
    #[error("process {pid} has ended")]
    Ended {
        /// Its number.
        pid: u32,
    },
    /// The kernel does not say what is asked about the process.
    #[error("cannot look at process {pid}")]
    Look {
        /// Its number.
        pid: u32,
        /// What the kernel says.
        source: io::Error,
    },
    /// No helper could be started.
    #[error("cannot start {} to enter a network namespace", program.display())]
    Start {
        /// The program that was started.
        program: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The helper was killed, or did not answer in time.
    #[error("the helper in the network namespace of process {pid} does not answer")]
    Helper {
        /// The process whose namespace it is.
        pid: u32,
        /// What happened to it.
        source: io::Error,
    },
    /// The kernel does not let the helper in.
    #[error("cannot enter the network namespace of process {pid}")]
    Enter {
        /// The process whose namespace it is.
        pid: u32,
        /// What the kernel says.
        source: io::Error,
    },
    /// The helper is inside, and the kernel gives it no socket.
    #[error("cannot make a socket in the network namespace of process {pid}")]
    Socket {
        /// The process whose namespace it is.
        pid: u32,
        /// What the kernel says.
        source: io::Error,
    },
}
