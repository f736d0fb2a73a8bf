//! A variable in the environment of everything that a shim or a runner starts: by it those processes are
//! found that have left group and session, after the one was killed whose children they were.
//!
//! It is a help and no fence: a program that empties its environment is not found by it.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use super::{ProcessId, Stat, boot_id, processes};

/// How often what carries the marker is killed before it is given up.
const SWEEPS_MAX: u32 = 200;
const SWEEP_PAUSE: Duration = Duration::from_millis(10);
/// So much of the boot's name makes a marker different from that of any other boot.
const BOOT_CHARS: usize = 8;

/// The variable.
const VARIABLE: &str = "SNS_SHIM";
/// What the name of a file that keeps a marker begins with.
const FILE_PREFIX: &str = "step.";

/// The marker of what one shim or runner starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(String);

impl Marker {
    /// The marker of what this process starts.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn of(process: ProcessId) -> io::Result<Self> {
        let boot: String = boot_id()?.chars().take(BOOT_CHARS).collect();
        let ProcessId { pid, start_time } = process;
        Ok(Self(format!("{boot}-{pid}-{start_time}")))
    }

    /// The variable and its value.
    #[must_use]
    pub fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.0)
    }

    /// The name of an empty file in `run/` that says: a step runs whose processes carry this marker.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{FILE_PREFIX}{}", self.0)
    }

    /// The marker that has this file name.
    #[must_use]
    pub fn parse(file_name: &str) -> Option<Self> {
        file_name
            .strip_prefix(FILE_PREFIX)
            .map(|text| Self(text.to_owned()))
    }

    /// The processes that run and carry it.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessId> {
        let entry = format!("{VARIABLE}={}", self.0).into_bytes();
        let carries = |pid: &u32| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|text| text.split(|byte| *byte == 0).any(|held| held == entry))
        };
        let found = processes().filter(carries).filter_map(|pid| {
            let stat = Stat::read(pid).ok().filter(Stat::runs)?;
            Some(ProcessId {
                pid,
                start_time: stat.start_time,
            })
        });
        found.collect()
    }

    /// Ends everything that carries it, and waits until that is gone.
    pub fn end_all(&self) {
        for _ in 0..SWEEPS_MAX {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.into_iter().for_each(ProcessId::kill);
            thread::sleep(SWEEP_PAUSE);
        }
    }
}
