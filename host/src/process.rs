//! Which process is meant: a pid together with its start time and the boot it belongs to.
//!
//! A pid alone is worth nothing after a restart of the daemon: the number may have been given to
//! someone else. Signals go through a pidfd that was opened before the start time was compared, so
//! they can never reach another process.

mod marker;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

pub use marker::Marker;

/// One process, for as long as the machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

impl ProcessId {
    /// The process that has this number now.
    ///
    /// # Errors
    /// There is none.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = Stat::read(pid)?;
        Ok(Self {
            pid,
            start_time: stat.start_time,
        })
    }

    /// True when its program lay in `directory` and is another file or none by now.
    #[must_use]
    pub fn runs_replaced_from(self, directory: &Path) -> bool {
        let Ok(program) = fs::read_link(format!("/proc/{}/exe", self.pid)) else {
            return false;
        };
        // The kernel's own words for a file that has no name any more.
        let text = program.to_string_lossy();
        let gone = text.strip_suffix(" (deleted)").map(Path::new);
        gone.is_some_and(|gone| gone.parent() == Some(directory)) && self.is_alive()
    }

    /// A descriptor of the process; none when it has ended.
    ///
    /// # Errors
    /// The kernel refuses, for example because there are no descriptors left.
    pub fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = self.as_pid() else {
            return Ok(None);
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(self.look()?.then_some(descriptor)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// True while it runs; a process that has ended and only waits to be collected does not. One that
    /// cannot be looked at, because there are no descriptors left, counts as running.
    #[must_use]
    pub fn is_alive(self) -> bool {
        self.look().unwrap_or(true)
    }

    fn look(self) -> io::Result<bool> {
        match Stat::read(self.pid) {
            Ok(stat) => Ok(stat.start_time == self.start_time && stat.runs()),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is left of the session that this process led, without itself: its number belongs to that
    /// session as long as it has members. Empty when somebody else has the number now.
    #[must_use]
    pub fn session_without_leader(self) -> Vec<Self> {
        if Stat::read(self.pid).is_ok_and(|stat| stat.start_time != self.start_time) {
            return Vec::new();
        }
        let members = processes().filter_map(|pid| Some((pid, Stat::read(pid).ok()?)));
        members
            .filter(|(pid, stat)| stat.session == self.pid && *pid != self.pid && stat.runs())
            .filter(|(_, stat)| stat.start_time >= self.start_time)
            .map(|(pid, stat)| Self {
                pid,
                start_time: stat.start_time,
            })
            .collect()
    }

    /// Ends it at once, and never another process that has its number now.
    pub fn kill(self) {
        if let Ok(Some(descriptor)) = self.open() {
            // Fails only when it has ended meanwhile, or belongs to another user.
            let _ = pidfd_send_signal(descriptor, Signal::KILL);
        }
    }

    /// The number as the kernel calls want it.
    #[must_use]
    pub fn as_pid(self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }
}

/// To whom a process belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
}

/// The family of the process that has this number now.
///
/// # Errors
/// There is none.
pub(crate) fn family_of(pid: u32) -> io::Result<Family> {
    Stat::read(pid).map(|stat| Family {
        parent: stat.parent,
        group: stat.group,
        session: stat.session,
    })
}

/// The kernel counts the times in `/proc` in hundredths of a second, whatever its own tick is.
const TICKS_PER_S: u64 = 100;

/// When a process was started, in Unix seconds.
///
/// # Errors
/// `/proc` is not there.
pub fn started_s(process: ProcessId) -> io::Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let boot_s = text.lines().find_map(|line| line.strip_prefix("btime "));
    let boot_s: u64 = boot_s
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/stat has no btime"))?;
    Ok(boot_s.saturating_add(process.start_time / TICKS_PER_S))
}

/// What distinguishes this boot of the machine from all others.
///
/// # Errors
/// `/proc` is not there.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// How many bytes the processes of a session have read and written, without those of its leader: an
/// approximation from below, because those that have ended, and those of other users, do not count.
#[must_use]
pub(crate) fn traffic_of_session(session: u32) -> u64 {
    let members =
        processes().filter(|pid| Stat::read(*pid).is_ok_and(|stat| stat.session == session));
    let members = members.filter(|pid| *pid != session);
    members.filter_map(traffic_of).sum()
}

/// `rchar` and `wchar` of `/proc/PID/io`.
fn traffic_of(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let count = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line?.trim().parse::<u64>().ok()
    };
    Some(count("rchar:")?.saturating_add(count("wchar:")?))
}

/// The processes whose parent this one is.
#[must_use]
pub fn children_of(parent: u32) -> Vec<u32> {
    processes()
        .filter(|pid| Stat::read(*pid).is_ok_and(|stat| stat.parent == parent))
        .collect()
}

/// Everything below these processes, each after its parent: one look at all processes.
pub(crate) fn below(parents: Vec<u32>) -> Vec<u32> {
    let with_parent = |pid| Some((pid, Stat::read(pid).ok()?.parent));
    let all: Vec<(u32, u32)> = processes().filter_map(with_parent).collect();
    let (begin, mut found, mut next) = (parents.len(), parents, 0);
    while let Some(parent) = found.get(next).copied() {
        for (pid, _) in all.iter().filter(|(_, above)| *above == parent) {
            // The look took a moment, so it may show a number twice.
            if !found.contains(pid) {
                found.push(*pid);
            }
        }
        next += 1;
    }
    found.split_off(begin)
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// `ESRCH` is what a process says that ends while it is read.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    state: char,
    parent: u32,
    group: u32,
    session: u32,
    start_time: u64,
}

impl Stat {
    fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    fn read(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&text).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("/proc/{pid}/stat: `{text}`"),
            )
        })
    }

    /// The second field is the program's name in parentheses, which may itself hold spaces and
    /// parentheses; the third field follows the last one.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start_time: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = "77 (a) b) S 5 77 76 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state, stat.parent), ('S', 5));
        assert_eq!((stat.group, stat.session, stat.start_time), (77, 76, 4711));
        assert!(Stat::parse("77 (a) S 5").is_none());
    }

    #[test]
    fn this_process_is_alive_and_another_with_its_number_is_not() {
        let me = ProcessId::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(me.open().unwrap().is_some());
        let other = ProcessId {
            start_time: me.start_time + 1,
            ..me
        };
        assert!(!other.is_alive());
        assert!(other.open().unwrap().is_none());
    }
}
