//! An ordinary user of this machine for one test, with ranges of users and groups for its containers.
//!
//! It needs root. The user really exists, because the programs that hand out those ranges ask the system's
//! files and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::cluster::command;
use crate::podman::numbers;

/// Users of tests are called so, then the test's process, then a number.
const PREFIX: &str = "snstest";

/// How many users this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A user who is gone, with all processes, when this is dropped.
#[derive(Debug)]
pub struct User {
    name: String,
    uid: u32,
    gid: u32,
}

impl User {
    /// Makes a user without a home.
    ///
    /// # Errors
    /// This is not root, or `useradd` failed.
    pub fn new() -> Result<Self> {
        remove_forgotten();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}", std::process::id());
        let mut add = command("useradd");
        add.args(["--no-create-home", "--home-dir", "/nonexistent"]);
        Outcome::of(add.args(["--shell", "/bin/sh", &name]))?.success()?;
        let id = |option| -> Result<u32> {
            let said = Outcome::of(command("id").args([option, name.as_str()]))?.success()?;
            said.trim().parse().context("`id` says no number")
        };
        let (uid, gid) = (id("-u")?, id("-g")?);
        open_tunnels()?;
        Ok(Self { name, uid, gid })
    }

    /// The user's number.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The number of the user's own group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Has this user run the command, without any other group.
    pub fn runs<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.uid(self.uid).gid(self.gid)
    }

    /// Gives everything below `path` to this user.
    ///
    /// # Errors
    /// Something below cannot be read or given away.
    pub fn own(&self, path: &Path) -> Result<()> {
        own(path, (self.uid, self.gid))
    }

    /// The user's processes that have not ended.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let is_theirs = |pid: &i32| {
            let place = format!("/proc/{pid}");
            let owner = fs::metadata(&place).is_ok_and(|meta| meta.uid() == self.uid);
            // What has ended and waits to be collected has no command line any more.
            owner && fs::read(format!("{place}/cmdline")).is_ok_and(|line| !line.is_empty())
        };
        numbers().filter(is_theirs).collect()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for pid in self.processes() {
            // The user was made here, so every process of it was, too.
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        remove(&self.name);
    }
}

/// Gives everything below `path` to these.
pub(crate) fn own(path: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    lchown(path, Some(uid), Some(gid))
        .with_context(|| format!("cannot give away {}", path.display()))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), (uid, gid))?;
        }
    }
    Ok(())
}

/// Lets everybody look into a directory.
pub(crate) fn open_to_all(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The network of a user's containers needs this device, which distributions open to everybody. It is not
/// closed again: another test may be using it.
fn open_tunnels() -> Result<()> {
    let device = Path::new("/dev/net/tun");
    let mode = fs::metadata(device)
        .with_context(|| format!("{} is missing", device.display()))?
        .permissions()
        .mode();
    if mode & 0o666 != 0o666 {
        fs::set_permissions(device, fs::Permissions::from_mode(0o666))?;
    }
    Ok(())
}

/// Removes the users of tests that were killed before they could.
fn remove_forgotten() {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    for name in users.lines().filter_map(|line| line.split(':').next()) {
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').nth(1));
        if process.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(name);
        }
    }
}

/// Says nothing: a user who cannot be removed now is found by the next test.
fn remove(name: &str) {
    let _ = Outcome::of(command("userdel").args(["--force", name]));
}
