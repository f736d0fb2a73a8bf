//! The process that becomes the program of a unit or a step (`simplenetesd gate`, started by a shim or a
//! step runner only).
//!
//! It waits until it is let go, enters the unit's control group, becomes the program's user, goes to its directory and executes the program
//! in its own place, bound to the life of its parent. When it cannot, it says why, on the channel, and ends
//! with 127 (no such program) or 126 (anything else), as a shell would.
//!
//! ```text
//! parent ── start ──▶ gate: waits          (the parent records its pid)
//! parent ── let_go ─▶ gate: group, user, directory, exec ─▶ the program
//! ```

mod user;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use hostfiles::ReleaseDir;
use names::UnitName;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::cgroup::enter;
use crate::process::{Marker, ProcessId};

pub(crate) use user::{User, become_user, look_up, look_up_id};

const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// What is executed, and how. Everything is resolved: no relative path, no look-up is left.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Launch {
    /// The program, absolute unless it was found nowhere.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Where it starts, absolute.
    pub working_directory: PathBuf,
    /// The user to become.
    pub user: Option<String>,
    /// The directory `root/UNIT` that is given to the user: release and unit.
    pub root: Option<(PathBuf, UnitName)>,
    /// What it reads from standard input; nothing when empty.
    pub stdin: Vec<u8>,
    /// The files by which it enters its control group; none when it stays in that of its parent.
    #[serde(default)]
    pub group: Vec<PathBuf>,
}

/// Arguments, variables and input may hold secrets.
impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("program", &self.program)
            .field("working_directory", &self.working_directory)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A gate that waits to be let go.
#[derive(Debug)]
pub struct Gate {
    /// The process, which will be the program.
    pub child: Child,
    channel: UnixStream,
}

/// Why a gate could not execute its program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For people.
    pub message: String,
    /// The exit status that it ends with.
    pub code: u8,
}

impl Refusal {
    /// True when there is no such program.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == NOT_FOUND
    }
}

impl Gate {
    /// Starts the process. It runs our own program until it is let go, and gets no variable of the
    /// program's environment before it has become the program's user. `about` is for those who look at
    /// the list of processes.
    ///
    /// # Errors
    /// No process could be started.
    pub fn start(about: &[String], stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Self> {
        let (channel, theirs) = UnixStream::pair()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the processes of units and steps are started"
        )]
        let child = std::process::Command::new("/proc/self/exe")
            .args(["gate", &std::process::id().to_string()])
            .args(about)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()?;
        Ok(Self { child, channel })
    }

    /// Tells the gate what to execute and waits until it has. Its end of the channel closes when the
    /// program is executed; what it says before that is why it could not.
    ///
    /// # Errors
    /// The gate does not listen: it was killed.
    pub fn let_go(&mut self, launch: &Launch) -> io::Result<Option<Refusal>> {
        serde_json::to_writer(&mut self.channel, launch)?;
        self.channel.flush()?;
        self.channel.shutdown(Shutdown::Write)?;
        let mut refusal = String::new();
        self.channel.read_to_string(&mut refusal)?;
        if refusal.is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&refusal)?))
    }
}

/// Becomes the program, as the child of this parent. Only returns when that failed, with the exit status
/// to end with.
#[must_use]
pub fn run(parent: u32) -> u8 {
    let parent = i32::try_from(parent).ok().and_then(Pid::from_raw);
    let Ok(mut channel) = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from)
    else {
        return NOT_EXECUTABLE;
    };
    let mut request = Vec::new();
    // A parent that died before it let us go sent nothing, and then there is nobody to tell.
    let Ok(launch) = channel
        .read_to_end(&mut request)
        .map_err(drop)
        .and_then(|_| serde_json::from_slice::<Launch>(&request).map_err(drop))
    else {
        return NOT_EXECUTABLE;
    };
    let refusal = execute(&launch, parent);
    // Nobody reads it when the parent has died meanwhile.
    let _ = serde_json::to_writer(&mut channel, &refusal);
    refusal.code
}

/// Only returns when the program could not be executed.
fn execute(launch: &Launch, parent: Option<Pid>) -> Refusal {
    match bound_to(launch, parent) {
        Ok((stdin, marker)) => replace_this_process(launch, stdin, marker.as_ref()),
        Err(refusal) => refusal,
    }
}

/// Becomes the program in the place of this process, with its streams. Only returns when that failed.
#[must_use]
pub fn become_here(launch: &Launch) -> Refusal {
    match change_user(launch).and_then(|()| go_to_directory(launch)) {
        Ok(()) => replace_this_process(launch, Stdio::inherit(), None),
        Err(refusal) => refusal,
    }
}

/// Makes this process the program's in all but the program, and lets it live no longer than its parent.
fn bound_to(launch: &Launch, parent: Option<Pid>) -> Result<(Stdio, Option<Marker>), Refusal> {
    // Only the daemon's user may, and the program must never run without its limits.
    enter(&launch.group).map_err(|error| refusal(error.to_string()))?;
    change_user(launch)?;
    // Nobody would read the output of a program whose parent was killed, and nobody would know of it.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| refusal(format!("cannot bind the program to its parent: {error}")))?;
    // The signal comes only when the parent ends from now on; this one may have ended already.
    if getppid() != parent {
        return Err(refusal("the parent of the program has ended".into()));
    }
    go_to_directory(launch)?;
    let marker = parent
        .and_then(|pid| ProcessId::of(pid.as_raw_nonzero().get().unsigned_abs()).ok())
        .and_then(|process| Marker::of(process).ok());
    let stdin = stdin(&launch.stdin)
        .map_err(|error| refusal(format!("cannot prepare standard input: {error}")))?;
    Ok((stdin, marker))
}

fn refusal(message: String) -> Refusal {
    Refusal {
        code: NOT_EXECUTABLE,
        message,
    }
}

fn replace_this_process(launch: &Launch, stdin: Stdio, marker: Option<&Marker>) -> Refusal {
    #[expect(
        clippy::disallowed_methods,
        reason = "the gate is where the program of a unit or a step is executed"
    )]
    let error = std::process::Command::new(&launch.program)
        .args(&launch.args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .envs(marker.map(Marker::variable))
        .stdin(stdin)
        .exec();
    let code = if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_EXECUTABLE
    };
    Refusal {
        code,
        message: format!("cannot execute {}: {error}", launch.program.display()),
    }
}

fn go_to_directory(launch: &Launch) -> Result<(), Refusal> {
    let directory = &launch.working_directory;
    std::env::set_current_dir(directory)
        .map_err(|error| refusal(format!("cannot start in {}: {error}", directory.display())))
}

fn change_user(launch: &Launch) -> Result<(), Refusal> {
    let Some(name) = &launch.user else {
        return Ok(());
    };
    let changed = || -> io::Result<()> {
        let user = look_up(Path::new("/etc"), name)?;
        if let Some((release, unit)) = &launch.root {
            user::give_root(&ReleaseDir::new(release), unit, &user)?;
        }
        become_user(&user)
    };
    changed().map_err(|error| refusal(format!("cannot run as user `{name}`: {error}")))
}

fn stdin(content: &[u8]) -> io::Result<Stdio> {
    if content.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}
