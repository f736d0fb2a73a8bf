//! The programs that were here before, and still serve out connections: children of this process, whatever program it
//! is by now. They are known by an environment variable, which every later program can read.

use std::ffi::OsString;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Their numbers, with blanks between them.
pub(super) const VARIABLE: &str = "SNS_PROXY_SERVES_OUT";
/// Each is a process with threads; whoever upgrades so often while clients stay has to wait for some.
const MOST: usize = 8;

/// Those that live.
#[derive(Debug, Default)]
pub(crate) struct Predecessors(Vec<Pid>);

impl Predecessors {
    /// Those that the program before has left.
    pub(crate) fn inherited() -> Self {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        let numbers = text.split(' ').filter_map(|word| word.parse().ok());
        let mut found = Self(
            numbers
                .filter(|number| *number > 0)
                .map(Pid::from_raw)
                .collect(),
        );
        found.bury();
        found
    }

    /// Lets those go that have ended, and what is no child of this process.
    pub(crate) fn bury(&mut self) {
        self.0.retain(|pid| {
            let state = waitpid(*pid, Some(WaitPidFlag::WNOHANG));
            matches!(state, Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
        });
    }

    /// Tells them what this process was told.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // A child that was not buried keeps its number.
        self.bury();
        for pid in &self.0 {
            // It may end at this moment.
            let _ = kill(*pid, signal);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there can be one more.
    pub(super) fn has_room(&mut self) -> bool {
        self.bury();
        self.0.len() < MOST
    }

    /// The variable for the next program, in which there is one more.
    pub(super) fn with(&self, one_more: Option<u32>) -> OsString {
        let one_more = one_more.map(|pid| pid.to_string());
        let all = self.0.iter().map(ToString::to_string).chain(one_more);
        let all: Vec<String> = all.collect();
        format!("{VARIABLE}={}", all.join(" ")).into()
    }
}
