//! Units that are no child of the program which starts them: that leaves them to another parent, writes
//! their process into a file, and ends.
//!
//! What the file says is believed only of a process that is younger than the shim and, where the unit has
//! a user of its own, belongs to that: a unit must not be able to have another process signalled.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::ShimSpec;
use crate::descendants;
use crate::gate::look_up;
use crate::log::complaint;
use crate::process::{Family, ProcessId, family_of};

/// After the program has ended, the file has to be there within so long.
const FILE_MAX: Duration = Duration::from_secs(5);
const FILE_PAUSE: Duration = Duration::from_millis(20);
/// A file with a process has no more bytes.
const FILE_BYTES_MAX: u64 = 64;
/// Orphans are collected at least so often.
const COLLECT_PAUSE: Duration = Duration::from_secs(30);
/// What watches over a unit from below, as the monitor of a container, gets so long to end after it.
const MONITOR_MAX: Duration = Duration::from_secs(10);
/// No unit has more parents above it.
const LINE_MAX: usize = 64;

/// How a unit is found that its program leaves to another parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Detached {
    /// The file with its process, relative to the release.
    pub pid_file: PathBuf,
    /// Milliseconds that the program has to start it.
    pub start_ms: u64,
    /// The file with the process that watches over the unit and ends with its exit status, relative to the
    /// release; none where nothing does.
    pub monitor_file: Option<PathBuf>,
}

/// Why there is no unit.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// The program did not end.
    #[error("the program that should start it did not end within {0} ms")]
    Late(u64),
    /// The program failed, and said this at last.
    #[error("the program that starts it ended with {code}{}", said(.line.as_deref()))]
    Failed {
        /// Its exit status.
        code: i32,
        /// The last line of its standard error.
        line: Option<String>,
    },
    /// The file is not there or says nothing useful.
    #[error("the program has ended, but {path} names no process of the unit", path = .0.display())]
    NoProcess(PathBuf, #[source] io::Error),
}

fn said(line: Option<&str>) -> String {
    line.map_or_else(
        || "; it said nothing".to_owned(),
        |line| format!(": {}", complaint(line)),
    )
}

impl DetachError {
    /// The same with what the program said at last, if that is why.
    pub(super) fn saying(self, last: Option<String>) -> Self {
        match self {
            Self::Failed { code, .. } => Self::Failed { code, line: last },
            other => other,
        }
    }
}

/// A unit that its program has left to another parent.
pub(super) struct Found {
    /// Its process, which may have ended already.
    pub(super) process: ProcessId,
    /// The process that ends with its exit status, and that status if it is known already.
    monitor: Option<(Pid, Option<i32>)>,
}

impl Detached {
    /// Removes the files of an earlier run, which would name somebody else now.
    pub(super) fn forget(&self, release: &Path) -> io::Result<()> {
        for path in std::iter::once(&self.pid_file).chain(&self.monitor_file) {
            match directory(release)?.remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits until the program has left the unit to itself, and finds it.
    pub(super) fn find(&self, spec: &ShimSpec, program: ProcessId) -> Result<Found, DetachError> {
        let limit = Duration::from_millis(self.start_ms);
        let mut collected = Collected::default();
        let code = wait_for(program, Some(limit), &mut collected)
            .ok_or(DetachError::Late(self.start_ms))?;
        match code {
            Some(0) => {}
            code => {
                let (code, line) = (code.unwrap_or(1), None);
                return Err(DetachError::Failed { code, line });
            }
        }
        let due = Instant::now() + FILE_MAX;
        loop {
            match self.look(spec) {
                Ok(process) => {
                    let monitor = self.monitor(spec.release.path());
                    let monitor = monitor.map(|pid| (pid, collected.status_of(pid)));
                    return Ok(Found { process, monitor });
                }
                // What is refused once stays so; a file that is being written is not.
                Err(error)
                    if error.kind() == ErrorKind::PermissionDenied || Instant::now() >= due =>
                {
                    return Err(DetachError::NoProcess(self.pid_file.clone(), error));
                }
                Err(_) => thread::sleep(FILE_PAUSE),
            }
        }
    }

    fn look(&self, spec: &ShimSpec) -> io::Result<ProcessId> {
        let pid = read(spec.release.path(), &self.pid_file)?;
        let process = match ProcessId::of(pid) {
            Ok(process) => process,
            // It has ended at once, which the process that watches over it knows.
            Err(_) if self.monitor(spec.release.path()).is_some() => {
                return Ok(ProcessId { pid, start_time: 0 });
            }
            Err(error) => return Err(error),
        };
        let shim = ProcessId::of(std::process::id())?;
        if process.start_time < shim.start_time {
            return Err(refused(pid, "it is older than the start of the unit"));
        }
        let user = spec.launch.user.as_deref();
        let user = user
            .map(|name| look_up(Path::new("/etc"), name))
            .transpose()?;
        let owner = fs::metadata(format!("/proc/{pid}"))?.uid();
        if user.is_some_and(|user| user.uid != owner) {
            return Err(refused(pid, "it does not belong to the user of the unit"));
        }
        Ok(process)
    }

    fn monitor(&self, release: &Path) -> Option<Pid> {
        let pid = read(release, self.monitor_file.as_ref()?).ok()?;
        Pid::from_raw(i32::try_from(pid).ok()?)
    }
}

/// Whatever stands there is read without waiting, and not to the end.
fn read(release: &Path, path: &Path) -> io::Result<u32> {
    let mut options = OpenOptions::new();
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    options.read(true).custom_flags(flags);
    let file = directory(release)?.open_with(path, &options)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "it is no file"));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    text.trim().parse().map_err(|_| {
        let message = format!("it says {text:?}, expected the number of a process");
        io::Error::new(ErrorKind::InvalidData, message)
    })
}

fn refused(pid: u32, why: &str) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, format!("process {pid}: {why}"))
}

fn directory(release: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(release, ambient_authority())
}

/// What the program has left beside the unit and above it.
pub(super) struct Beside {
    /// What neither is the unit nor watches over it: it stays.
    bystanders: Vec<ProcessId>,
    monitor: Option<(Pid, Option<i32>)>,
}

/// The exit statuses of processes that were collected while something else was waited for.
#[derive(Default)]
struct Collected(Vec<(Pid, i32)>);

impl Collected {
    fn take_all(&mut self) {
        self.0.extend(descendants::collect());
    }

    fn status_of(&self, pid: Pid) -> Option<i32> {
        let found = self.0.iter().find(|(known, _)| *known == pid);
        found.map(|(_, code)| *code)
    }
}

/// Waits for the end of a process, collecting orphans meanwhile. Its status is known only when it was a
/// child of this process at its end. None when the time is over.
fn wait_for(
    process: ProcessId,
    limit: Option<Duration>,
    collected: &mut Collected,
) -> Option<Option<i32>> {
    let due = limit.map(|limit| Instant::now() + limit);
    let descriptor = process.open().ok().flatten();
    loop {
        let has_ended = match &descriptor {
            Some(descriptor) => has_ended(descriptor, pause(due)),
            // It has ended already, or cannot be watched.
            None => !process.is_alive(),
        };
        collected.take_all();
        let code = process.as_pid().and_then(|pid| collected.status_of(pid));
        if has_ended || code.is_some() {
            return Some(code);
        }
        if due.is_some_and(|due| Instant::now() >= due) {
            return None;
        }
        if descriptor.is_none() {
            thread::sleep(FILE_PAUSE);
        }
    }
}

fn pause(due: Option<Instant>) -> Duration {
    let left = due.map(|due| due.saturating_duration_since(Instant::now()));
    left.map_or(COLLECT_PAUSE, |left| left.min(COLLECT_PAUSE))
}

fn has_ended(descriptor: &impl std::os::fd::AsFd, pause: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(pause.subsec_nanos()),
    };
    let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
    // An interrupted call is like one that found nothing.
    poll(&mut watched, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

impl Beside {
    /// Looks what there is, once the program has ended. What has a session or a process group of its own is no
    /// part of the unit: others may share it, as rootless containers share the process that holds their user
    /// namespace, and the containers of a pod its network.
    pub(super) fn of(unit: &Found, program: ProcessId) -> Self {
        let shim = std::process::id();
        let mut line = line_of(unit.process.pid, shim);
        let monitor = unit.monitor.map(|(pid, _)| pid.as_raw_nonzero().get());
        line.extend(monitor.and_then(|pid| u32::try_from(pid).ok()));
        let is_bystander = |pid: &u32| {
            let own = |family: Family| family.session != shim || family.group != program.pid;
            !line.contains(pid) && family_of(*pid).is_ok_and(own)
        };
        let children = descendants::children_but(&[]);
        let beside = children.into_iter().filter(is_bystander);
        Self {
            bystanders: beside.filter_map(|pid| ProcessId::of(pid).ok()).collect(),
            monitor: unit.monitor,
        }
    }

    /// Waits for the end of the unit and of what belongs to it. Gives its exit status where that becomes known.
    pub(super) fn accompany(&self, unit: ProcessId) -> Option<i32> {
        let mut collected = Collected::default();
        // The monitor itself may have been killed: then the unit is a child of this process.
        let own = wait_for(unit, None, &mut collected).flatten();
        self.end_the_rest(&mut collected);
        let told = |(pid, told): (Pid, Option<i32>)| told.or_else(|| collected.status_of(pid));
        own.or_else(|| self.monitor.and_then(told))
    }

    /// Gives what is left of the unit the time to end by itself, then ends it.
    fn end_the_rest(&self, collected: &mut Collected) {
        let due = Instant::now() + MONITOR_MAX;
        while Instant::now() < due && !descendants::children_but(&self.bystanders).is_empty() {
            collected.take_all();
            thread::sleep(FILE_PAUSE);
        }
        collected.take_all();
        descendants::end_every_child(&self.bystanders);
    }
}

/// The process, its parent, the parent of that and so on, up to this one.
fn line_of(pid: u32, end: u32) -> Vec<u32> {
    let parent = |pid: &u32| family_of(*pid).ok().map(|family| family.parent);
    let line = std::iter::successors(Some(pid), parent);
    // A process may come to have another parent meanwhile; that is no circle, but would be longer.
    line.take_while(|pid| *pid != end && *pid > 1)
        .take(LINE_MAX)
        .collect()
}
