//! The process that becomes a worker (`simplenetesd worker-gate`, started by root's daemon only).
//!
//! It leaves the session of root's daemon, and with it root's terminal; enters the control group of the owner;
//! gives up root for good, makes sure that nothing of it is left, binds itself to root's daemon and executes the
//! daemon of the host home in its own place. It touches no file of the user before.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, getegid, geteuid, getppid, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::cgroup;
use crate::gate::{User, become_user};

/// Whom to become, and for which home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Become {
    /// The owner of the home.
    pub uid: u32,
    /// The owner's group.
    pub gid: u32,
    /// All groups of the owner.
    pub groups: Vec<u32>,
    /// The process of root's daemon.
    pub parent: u32,
    /// The files by which it enters the owner's control groups.
    pub enter: Vec<PathBuf>,
    /// The host home.
    pub home: PathBuf,
}

/// Why a worker was not started.
#[derive(Debug, thiserror::Error)]
#[error("cannot become the worker of user {uid}: {what}")]
pub struct GateError {
    uid: u32,
    what: &'static str,
    #[source]
    source: Option<io::Error>,
}

/// Becomes the worker. Only returns when that failed.
///
/// # Errors
/// A part of root would be left, root's daemon has ended, or the program cannot be executed.
pub fn enter(spec: &Become) -> Result<(), GateError> {
    let failed = |what| {
        move |source: io::Error| GateError {
            uid: spec.uid,
            what,
            source: Some(source),
        }
    };
    let refuse = |what| GateError {
        uid: spec.uid,
        what,
        source: None,
    };
    // Who shares a terminal with root can type into it.
    rustix::process::setsid()
        .map_err(|error| failed("it cannot leave the terminal")(error.into()))?;
    // Where it cannot, units with limits are refused, each with the reason; others run as ever.
    let _ = cgroup::enter(&spec.enter);
    if spec.uid != 0 {
        drop_everything(spec).map_err(failed("its privileges cannot be dropped"))?;
        if !nothing_is_left(spec) {
            return Err(refuse("a privilege of root is left"));
        }
    }
    // A change of the user forgets it, so it comes afterwards.
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| failed("it cannot be bound to its parent")(error.into()))?;
    let parent = i32::try_from(spec.parent).ok().and_then(Pid::from_raw);
    if parent.is_none() || getppid() != parent {
        return Err(refuse("root's daemon has ended"));
    }
    // Setuid programs must go on working for the owner: rootless podman needs newuidmap. So
    // no_new_privs is not set.
    #[expect(
        clippy::disallowed_methods,
        reason = "the gate is where a worker is executed"
    )]
    let error = Command::new("/proc/self/exe")
        .arg0("simplenetesd")
        .arg(&spec.home)
        .arg("--worker")
        .exec();
    Err(failed("the daemon cannot be executed")(error))
}

fn drop_everything(spec: &Become) -> io::Result<()> {
    let user = User {
        uid: spec.uid,
        gid: spec.gid,
        groups: spec.groups.clone(),
        home: String::new(),
    };
    become_user(&user)?;
    // The kernel has taken the others with the user.
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none)?)
}

fn nothing_is_left(spec: &Become) -> bool {
    let has_none = capabilities(None)
        .is_ok_and(|sets| (sets.effective | sets.permitted | sets.inheritable).is_empty());
    let is_owner = geteuid().as_raw() == spec.uid
        && rustix::process::getuid().as_raw() == spec.uid
        && getegid().as_raw() == spec.gid;
    let root = rustix::process::Uid::ROOT;
    has_none && is_owner && rustix::thread::set_thread_uid(root).is_err()
}
