//! The process whose namespace is wanted, and in which namespace it is.
//!
//! Everything is asked while a pidfd is open that was opened first: what `/proc` says about the number is
//! believed only if the process with that descriptor has not ended meanwhile.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::ReachError;

/// A process, as it is recorded by whoever watches over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

/// In which network namespace a process is, seen from ours.
#[derive(Debug)]
pub(crate) enum Place {
    /// In ours.
    Here,
    /// In one that only others may know.
    Hidden,
    /// In another one: the descriptor of the process.
    Elsewhere(OwnedFd),
}

impl Process {
    /// Whether it is in the network namespace of the caller. Where only others may know, it is taken for one that
    /// is not.
    ///
    /// # Errors
    /// It has ended, or cannot be looked at.
    pub fn is_in_our_network(self) -> Result<bool, ReachError> {
        Ok(matches!(self.place()?, Place::Here))
    }

    pub(crate) fn place(self) -> Result<Place, ReachError> {
        let Self { pid, .. } = self;
        let look = |source| ReachError::Look { pid, source };
        let ended = || ReachError::Ended { pid };
        let descriptor = self.open().map_err(look)?.ok_or_else(ended)?;
        let ours = network("/proc/thread-self/ns/net").map_err(look)?;
        let its = network(&format!("/proc/{pid}/ns/net"));
        // Of a process that has ended `/proc` says several things, and of the next one with its number more.
        if has_ended(&descriptor).map_err(look)? {
            return Err(ended());
        }
        match its {
            Ok(its) if its == ours => Ok(Place::Here),
            Ok(_) => Ok(Place::Elsewhere(descriptor)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Place::Hidden),
            Err(error) => Err(look(error)),
        }
    }

    /// None when it has ended. The descriptor is opened before the start time is compared, so it is never
    /// that of another process which has got the number.
    fn open(self) -> io::Result<Option<OwnedFd>> {
        let number = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(number) = number else {
            return Ok(None);
        };
        let descriptor = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid));
        if has_ended(&descriptor)? {
            return Ok(None);
        }
        Ok((start_time(&stat?) == Some(self.start_time)).then_some(descriptor))
    }
}

/// What tells one namespace from another: device and inode.
fn network(link: &str) -> io::Result<(u64, u64)> {
    let file = fs::metadata(link)?;
    Ok((file.dev(), file.ino()))
}

/// A pidfd becomes readable when its process ends, whether somebody collects that or not.
fn has_ended(process: &impl AsFd) -> io::Result<bool> {
    let mut poll_fds = [PollFd::new(process, PollFlags::IN)];
    let now = Timespec::default();
    Ok(rustix::io::retry_on_intr(|| poll(&mut poll_fds, Some(&now)))? > 0)
}

/// The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
fn start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Process {
        let pid = std::process::id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        Process {
            pid,
            start_time: start_time(&stat).unwrap(),
        }
    }

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = "77 (a) b) S 5 77 76 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(start_time(stat), Some(4711));
        assert_eq!(start_time("77 (a) S 5"), None);
        assert_eq!(start_time(""), None);
    }

    #[test]
    fn this_process_is_here() {
        assert!(matches!(me().place(), Ok(Place::Here)));
    }

    #[test]
    fn another_process_with_the_same_number_is_not_meant() {
        let other = Process {
            start_time: me().start_time + 1,
            ..me()
        };
        let no_number = Process { pid: 0, ..me() };
        let no_process = Process {
            pid: i32::MAX.unsigned_abs(),
            ..me()
        };
        let too_great = Process {
            pid: u32::MAX,
            ..me()
        };
        for process in [other, no_number, no_process, too_great] {
            let place = process.place();
            assert!(matches!(place, Err(ReachError::Ended { .. })), "{place:?}");
        }
    }
}
