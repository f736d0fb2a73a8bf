//! Control groups of a test: whatever a daemon in them makes is in them too, and gone with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use testkit::wait_until;

use crate::host::{LIMIT, kill};

const MOUNT: &str = "/sys/fs/cgroup";
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Counts the groups of this process, so that each test has its own.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// One group in each hierarchy, with a leaf in which a daemon is started.
pub(crate) struct Groups(Vec<PathBuf>);

impl Groups {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("simplenetes-test-{}-{number}", std::process::id());
        let mount = Path::new(MOUNT);
        let old: Vec<PathBuf> = CONTROLLERS.iter().map(|name| mount.join(name)).collect();
        // A machine of today has one hierarchy; it hands its controllers down to those who ask for them.
        let tops = if old.iter().all(|top| top.join("cgroup.procs").exists()) {
            old
        } else {
            vec![mount.to_owned()]
        };
        let groups: Vec<PathBuf> = tops.iter().map(|top| top.join(&name)).collect();
        for group in &groups {
            fs::create_dir_all(group.join("service")).unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; the tests of limits run as root where control groups can be made",
                    group.display()
                )
            });
        }
        Self(groups)
    }

    /// The same command, started in the groups.
    pub(crate) fn wrap(&self, command: &Command) -> Command {
        let mut wrapped = Command::new("/bin/sh");
        let enter: Vec<String> = self
            .0
            .iter()
            .map(|group| format!("echo 0 > {}/service/cgroup.procs", group.display()))
            .collect();
        wrapped
            .args([
                "-c",
                &format!("{} && exec \"$0\" \"$@\"", enter.join(" && ")),
            ])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear();
        for (name, value) in command.get_envs() {
            wrapped.env(name, value.unwrap());
        }
        wrapped
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            let gone = wait_until("the groups to be empty", LIMIT, || {
                remove(group);
                Ok((!group.exists()).then_some(()))
            });
            // What cannot be removed is seen by whoever looks; a test that fails has more to say.
            drop(gone);
        }
    }
}

fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines() {
        kill(pid.parse().unwrap());
    }
    let _ = fs::remove_dir(group);
}
