//! What a podman leaves behind when its test is over, and how it is taken away.
//!
//! Processes are told by the settings in their environment, which name the folder: no number that was given
//! to another process, and no container of anybody else, is ever hit.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Podman;
use crate::wait_until;

/// podman waits for what it has not seen ending, and sometimes for itself.
const REMOVE_MAX: Duration = Duration::from_secs(20);

/// How long a killed process may take to be gone.
const END_MAX: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

impl Podman {
    /// The processes that use this podman: its own, and those of ours that outlive a daemon.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let ours = format!("CONTAINERS_STORAGE_CONF={}/", self.path().display());
        let is_ours = |pid: i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable.starts_with(ours.as_bytes()))
        };
        numbers().filter(|pid| is_ours(*pid)).collect()
    }

    /// Ends those of its processes for which `is_meant` holds, and waits until they have ended.
    fn end(&self, is_meant: impl Fn(i32) -> bool) {
        let mut ending = Vec::new();
        for pid in self.processes() {
            let Some(process) = Pid::from_raw(pid) else {
                continue;
            };
            let Ok(descriptor) = pidfd_open(process, PidfdFlags::empty()) else {
                continue;
            };
            // Looked at again: the number may have been given to another process before it was opened.
            if is_meant(pid) && self.processes().contains(&pid) {
                let _ = pidfd_send_signal(&descriptor, Signal::KILL);
                ending.push(descriptor);
            }
        }
        for descriptor in ending {
            let mut end = [PollFd::new(&descriptor, PollFlags::IN)];
            // One that does not end within that time waits for a disk, and nobody can do anything about it.
            let _ = poll(&mut end, Some(&END_MAX));
        }
    }

    /// What cannot be removed has its processes ended and its mounts taken away afterwards.
    fn remove_all(&self) {
        for arguments in [
            &["pod", "rm", "--force", "--all", "--time", "0"][..],
            &["rm", "--force", "--all", "--time", "0"],
            &["volume", "rm", "--force", "--all"],
        ] {
            let mut podman = self.command(arguments);
            let Ok(mut child) = podman.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
                continue;
            };
            let ended = wait_until("podman to remove", REMOVE_MAX, || Ok(child.try_wait()?));
            if ended.is_err() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Whoever could make another container goes first; conmon knows how a container ended.
        self.end(|pid| name(pid) != "conmon");
        self.remove_all();
        self.end(|_| true);
        for place in mounts_below(self.path()) {
            let _ = unmount(&place, UnmountFlags::DETACH);
        }
    }
}

fn name(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

pub(crate) fn numbers() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Those that were mounted last come first.
fn mounts_below(folder: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    let below = places.filter(|place| Path::new(place).starts_with(folder));
    below.map(str::to_owned).rev().collect()
}
