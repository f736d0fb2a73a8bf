//! A daemon that never outlives its owner, and neither do the units that it started.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::wait_until;

/// How long a daemon may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How long a shim may take to end what its unit has left behind.
const SHIM_LIMIT: Timespec = Timespec {
    tv_sec: 3,
    tv_nsec: 0,
};

/// A running `simplenetesd HOME`.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    home: PathBuf,
}

impl Daemon {
    /// Starts the prepared command, which is `simplenetesd` with `home` as its argument. A Ctrl-C in
    /// the terminal does not reach it: its owner decides when it ends.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command, home: &Path) -> Result<Self> {
        let child = command
            .process_group(0)
            .spawn()
            .context("cannot start simplenetesd")?;
        Ok(Self {
            child,
            home: home.to_owned(),
        })
    }

    /// The daemon's process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True until the daemon has ended by itself.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Asks the daemon to end, waits for it and leaves the pods running.
    ///
    /// # Errors
    /// It does not end within ten seconds.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(pid) = pid(u64::from(self.child.id())) {
            kill_process(pid, Signal::TERM).context("cannot signal simplenetesd")?;
        }
        let ended = || Ok(self.child.try_wait()?);
        wait_until("simplenetesd to end", STOP_LIMIT, ended).map(drop)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An error means that it has ended already; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for record in records(&self.home) {
            // The shim ends what the unit has left behind, if it is given the time.
            end(&record, "process");
            wait_for_shim(&record);
            end(&record, "shim");
        }
        unmount_below(&self.home);
    }
}

/// Takes away the ramdisks of a daemon that was root: the folder of a test could not be removed otherwise.
fn unmount_below(home: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    for place in places.filter(|place| Path::new(place).starts_with(home)) {
        // An error means that it has gone meanwhile, or that this is not root.
        let _ = unmount(place, UnmountFlags::DETACH);
    }
}

/// All `run/UNIT.json` below a host home: which processes the units are.
fn records(home: &Path) -> Vec<Value> {
    let pods = entries(&home.join("pods"));
    let releases = pods.iter().flat_map(|pod| entries(&pod.join("release")));
    let files = releases.flat_map(|release| entries(&release.join("run")));
    files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok())
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Kills one recorded process through a descriptor that was opened before its start time was compared,
/// so a number that was given to another process meanwhile is never hit.
fn end(record: &Value, role: &str) -> Option<()> {
    let process = record.get(role)?;
    let id = process.get("pid")?.as_u64()?;
    let descriptor = pidfd_open(pid(id)?, PidfdFlags::empty()).ok()?;
    if start_time(id)? == process.get("startTime")?.as_u64()? {
        pidfd_send_signal(&descriptor, Signal::KILL).ok()?;
    }
    Some(())
}

fn wait_for_shim(record: &Value) -> Option<()> {
    let shim = record.get("shim")?;
    let id = shim.get("pid")?.as_u64()?;
    let descriptor = pidfd_open(pid(id)?, PidfdFlags::empty()).ok()?;
    if start_time(id)? == shim.get("startTime")?.as_u64()? {
        let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
        poll(&mut watched, Some(&SHIM_LIMIT)).ok()?;
    }
    Some(())
}

/// Field 22 of `/proc/PID/stat`; the name in the second field may hold anything.
fn start_time(id: u64) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

fn pid(id: u64) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::command;

    /// A host home whose only record names `child`, with the given start time.
    fn home_with(child: &Child, start_time: u64) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("pods/web/release/1.0.0/run");
        fs::create_dir_all(&run).unwrap();
        let record = serde_json::json!({
            "process": { "pid": child.id(), "startTime": start_time },
            "shim": { "pid": u32::MAX, "startTime": 1 },
        });
        serde_json::to_writer(fs::File::create(run.join("main.json")).unwrap(), &record).unwrap();
        home
    }

    #[test]
    fn units_end_with_the_guard() {
        let mut unit = command("sleep").arg("600").spawn().unwrap();
        let home = home_with(&unit, start_time(u64::from(unit.id())).unwrap());
        drop(Daemon::start(command("sleep").arg("600"), home.path()).unwrap());
        assert!(!unit.wait().unwrap().success());
    }

    #[test]
    fn a_recycled_number_is_never_hit() {
        let mut other = command("sleep").arg("600").spawn().unwrap();
        let home = home_with(&other, start_time(u64::from(other.id())).unwrap() + 1);
        drop(Daemon::start(command("sleep").arg("600"), home.path()).unwrap());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn stop_waits_for_the_end() {
        let home = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start(command("sleep").arg("600"), home.path()).unwrap();
        assert!(daemon.is_running().unwrap());
        daemon.stop().unwrap();
        assert!(!daemon.is_running().unwrap());
    }
}
