//! The group of one unit: made by its shim before the unit's process exists, entered by the gate, and removed
//! when the unit has ended with everything that it had started.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use hostfiles::ReleaseDir;
use names::{ReleaseId, UnitName};
use podspec::Limits;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::layout::Layout;
use super::room::{self, PROCESSES};
use super::{GroupError, Setting};
use crate::process::ProcessId;

/// Writing to it ends everything in the group; only version 2 has it.
const KILL: &str = "cgroup.kill";
/// Files that count how often something was killed for memory, in version 2 and 1.
const MEMORY_EVENTS: [&str; 2] = ["memory.events", "memory.oom_control"];
const MEMORY_KILLS: &str = "oom_kill";
/// The exit status of what was ended by SIGKILL.
const KILLED: i32 = 128 + 9;
/// No process can be started in a group where this is zero.
const PIDS_MAX: &str = "pids.max";

/// How often what is in a group is killed before it is given up, as long as that may be.
const SWEEPS_MAX: u32 = 200;
const SWEEP_PAUSE: Duration = Duration::from_millis(10);
/// A unit may make groups in its own, if it runs as the user of the daemon; so deep they are looked for.
const DEPTH_MAX: u32 = 16;
/// So many bytes of the digest tell releases of the same name apart.
const DIGEST_BYTES: usize = 4;

/// The group of one unit, in one hierarchy or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// Its directory in each of the hierarchies.
    pub parts: Vec<Part>,
    /// Bytes of memory that it may use; none when that is not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// A group in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// Its directory.
    pub directory: PathBuf,
    /// What is written into it, in this order.
    pub settings: Vec<Setting>,
}

/// The name of the group of a unit, different from those of all other host homes.
pub(crate) fn name(release: &ReleaseDir, id: &ReleaseId, unit: &UnitName) -> String {
    format!("{}-{}-{unit}-{}", id.pod, id.version, mark(release))
}

fn mark(release: &ReleaseDir) -> String {
    let digest = Sha256::digest(release.path().as_os_str().as_encoded_bytes());
    let bytes = digest.iter().take(DIGEST_BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Removes the groups of a release in which nothing runs any more. Nothing of it may be about to start.
pub(crate) fn sweep(release: &ReleaseDir) {
    let Ok(layout) = Layout::of_this_process() else {
        return;
    };
    let end = format!("-{}", mark(release));
    for (place, _) in layout.places() {
        for entry in room::possible(&place)
            .flat_map(fs::read_dir)
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().ends_with(&end) {
                // The kernel refuses it for a group that is not empty.
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

impl Group {
    /// The files by which a process enters the group.
    #[must_use]
    pub fn entrances(&self) -> Vec<PathBuf> {
        let parts = self.parts.iter();
        parts.map(|part| part.directory.join(PROCESSES)).collect()
    }

    /// Makes the group. What an earlier run of the unit left in it is ended first.
    ///
    /// # Errors
    /// The kernel refuses; nothing is left then.
    pub fn make(&self) -> Result<(), GroupError> {
        self.dissolve();
        let made = self.parts.iter().try_for_each(Part::make);
        if made.is_err() {
            self.dissolve();
        }
        made
    }

    /// The processes in the group.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessId> {
        let mut found = Vec::new();
        for part in &self.parts {
            walk(&part.directory, DEPTH_MAX, &mut |group| {
                let text = fs::read_to_string(group.join(PROCESSES)).unwrap_or_default();
                let pids = text.lines().filter_map(|line| line.parse().ok());
                found.extend(pids.filter_map(|pid| ProcessId::of(pid).ok()));
            });
        }
        found
    }

    /// Ends everything in the group and waits until that is gone.
    pub fn end_all(&self) {
        for part in &self.parts {
            // Where processes are not limited, what starts others faster than they are killed goes on until it fails.
            let _ = room::write(&part.directory.join(PIDS_MAX), "0");
        }
        for _ in 0..SWEEPS_MAX {
            for part in &self.parts {
                // Where there is no such file, each process is killed by itself.
                let _ = room::write(&part.directory.join(KILL), "1");
            }
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.into_iter().for_each(ProcessId::kill);
            thread::sleep(SWEEP_PAUSE);
        }
    }

    /// Ends everything in the group and removes it.
    pub fn dissolve(&self) {
        if self.parts.iter().all(|part| !part.directory.exists()) {
            return;
        }
        self.end_all();
        for part in &self.parts {
            part.remove();
        }
    }

    /// What the kernel has killed in the group because of its limit, for people, when the unit ended with this
    /// code; none when it did not have to.
    #[must_use]
    pub fn killed_for_memory(&self, code: Option<i32>) -> Option<String> {
        let limit = self.memory_bytes?;
        let files = self.parts.iter().flat_map(|part| {
            let file = |name: &&str| part.directory.join(name);
            MEMORY_EVENTS.iter().map(file).collect::<Vec<_>>()
        });
        let counts = files.filter_map(|file| fs::read_to_string(file).ok());
        let killed = counts.map(|text| kills(&text)).any(|count| count > 0);
        killed.then(|| told(limit, code))
    }
}

/// In version 1 the kernel takes one process, and the unit may go on without it.
fn told(limit: u64, code: Option<i32>) -> String {
    let whom = if code == Some(KILLED) {
        ""
    } else {
        "a process of it was "
    };
    format!("{whom}killed for memory: limit {}", Limits::size(limit))
}

/// The count in lines of `NAME COUNT`.
fn kills(text: &str) -> u64 {
    let count = |line: &str| {
        line.strip_prefix(MEMORY_KILLS)?
            .strip_prefix(' ')?
            .parse()
            .ok()
    };
    text.lines().find_map(count).unwrap_or_default()
}

impl Part {
    fn make(&self) -> Result<(), GroupError> {
        let directory = &self.directory;
        fs::create_dir(directory)
            .map_err(GroupError::refused("make the control group", directory))?;
        for setting in &self.settings {
            let file = directory.join(&setting.file);
            match room::write(&file, &setting.value) {
                Err(error) if setting.optional && error.kind() == io::ErrorKind::NotFound => {}
                written => written.map_err(GroupError::refused("write the limit", &file))?,
            }
        }
        Ok(())
    }

    /// A group is only empty a moment after its last process has ended.
    fn remove(&self) {
        for _ in 0..SWEEPS_MAX {
            walk(&self.directory, DEPTH_MAX, &mut |group| {
                let _ = fs::remove_dir(group);
            });
            if !self.directory.exists() {
                return;
            }
            thread::sleep(SWEEP_PAUSE);
        }
    }
}

/// Does it for each group below this one and then for this one.
fn walk(group: &Path, depth: u32, act: &mut dyn FnMut(&Path)) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), depth, act);
        }
    }
    act(group);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_killed_for_memory_is_counted_in_both_versions() {
        let check = |text, expected| assert_eq!(kills(text), expected, "{text}");
        check(
            "low 0\nhigh 0\nmax 31\noom 1\noom_kill 2\noom_group_kill 1\n",
            2,
        );
        check("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", 1);
        check("oom_kill_disable 0\nunder_oom 0\n", 0);
        check("", 0);
    }

    #[test]
    fn a_unit_that_went_on_was_not_killed_itself() {
        let limit = 256 << 20;
        assert_eq!(told(limit, Some(137)), "killed for memory: limit 256M");
        let other = "a process of it was killed for memory: limit 256M";
        assert_eq!(told(limit, Some(0)), other);
        assert_eq!(told(limit, None), other);
    }

    #[test]
    fn releases_of_one_name_have_groups_of_their_own() {
        let of = |path: &str| {
            let (id, unit) = ("web:1.0.0".parse().unwrap(), "main".parse().unwrap());
            name(&ReleaseDir::new(path), &id, &unit)
        };
        let (one, other) = (of("/home/me/a"), of("/home/me/b"));
        assert_ne!(one, other);
        assert_eq!(one.len(), "web-1.0.0-main-00000000".len());
        assert!(one.starts_with("web-1.0.0-main-"), "{one}");
    }
}
