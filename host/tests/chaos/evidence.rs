//! What units have left behind in the list of processes, in their logs and beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::host::is_alive;

/// What every token begins with.
const PREFIX: &str = "chaos-";

pub(super) struct Evidence {
    /// `TOKEN.RUN` for each run of each unit: the number of the last line that was written.
    written: PathBuf,
    /// Units whose shim was killed while they ran.
    without_shim: BTreeSet<u32>,
}

impl Evidence {
    pub(super) fn new(written: PathBuf) -> Self {
        Self {
            written,
            without_shim: BTreeSet::new(),
        }
    }

    pub(super) fn shim_killed(&mut self, unit: u32) {
        self.without_shim.insert(unit);
    }

    /// What the config said when the unit was last started; none before its first start.
    pub(super) fn config(&self, token: &str) -> Option<String> {
        fs::read_to_string(self.written.join(format!("conf-{token}"))).ok()
    }

    /// What the log of a unit should have and has not. It has all lines of a run, once and in order. Of a
    /// run whose shim was killed it has them once and in order, but lacks what the shim had read and not
    /// yet written.
    pub(super) fn missing(&self, log: &Path, token: &str) -> Vec<String> {
        // Read before the log, so that a line on its way into the log is all that can be missing.
        let runs = self.runs(token);
        let logged = lines(&fs::read_to_string(log).unwrap_or_default());
        let mut missing = Vec::new();
        for (run, numbers) in &logged {
            let has_lost = self.lost_its_shim(run);
            let mut before = 0;
            let is_whole = numbers.iter().all(|number| {
                let follows = *number == before + 1 || has_lost && *number > before;
                before = *number;
                follows
            });
            if !is_whole {
                missing.push(format!("{token}: the lines of run {run} are {numbers:?}"));
            }
        }
        for (run, count) in runs {
            let last = logged.get(&run).and_then(|numbers| numbers.last());
            if !self.lost_its_shim(&run) && last.is_none_or(|last| *last < count) {
                missing.push(format!("{token}: run {run} wrote {count}, logged {last:?}"));
            }
        }
        missing
    }

    fn lost_its_shim(&self, run: &str) -> bool {
        let pid = run.split('-').next().and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid: u32| self.without_shim.contains(&pid))
    }

    /// The runs of a unit, and how many lines each has written at least.
    fn runs(&self, token: &str) -> Vec<(String, u64)> {
        let entries = fs::read_dir(&self.written).unwrap().flatten();
        let runs = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let run = name.strip_prefix(token)?.strip_prefix('.')?.to_owned();
            // The unit may be writing it just now.
            let count = fs::read_to_string(entry.path()).ok()?.trim().parse().ok()?;
            Some((run, count))
        });
        runs.collect()
    }
}

/// The numbers of each run, from lines `SECONDS INDEX RUN NUMBER`.
fn lines(log: &str) -> BTreeMap<String, Vec<u64>> {
    let mut runs: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let [_, _, run, number] = words[..]
            && let Ok(number) = number.parse()
        {
            runs.entry(run.to_owned()).or_default().push(number);
        }
    }
    runs
}

/// Every file of JSON in a directory can be read.
pub(super) fn check_json(directory: &Path) {
    for (name, path) in files(directory) {
        // A file that is being written has another name.
        let is_json = name == ".pod.hand" || name.ends_with(".json");
        // The unit's own parent goes on: what it takes away meanwhile is not half a file.
        if let Ok(text) = fs::read(&path)
            && is_json
        {
            let read: Result<serde_json::Value, _> = serde_json::from_slice(&text);
            assert!(read.is_ok(), "{}: {read:?}", path.display());
        }
    }
}

/// What somebody who was killed has not finished.
pub(super) fn half_written(directory: &Path) -> Vec<String> {
    let left = files(directory).into_iter();
    let left = left.filter(|(name, _)| name.ends_with(".tmp"));
    left.map(|(_, path)| format!("{} was left", path.display()))
        .collect()
}

fn files(directory: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let named = entries.map(|entry| (entry.file_name().to_string_lossy().into(), entry.path()));
    named.collect()
}

/// The command line of a process; empty when there is none.
pub(super) fn words(pid: u32) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split_terminator('\0').map(str::to_owned).collect()
}

/// The processes of units: token and process. A unit that is about to execute a program is two processes
/// for a moment; the child of one with the same token is not another.
pub(super) fn roots() -> Vec<(String, u32)> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let held: BTreeMap<u32, String> = pids
        .filter(|pid| is_alive(*pid))
        .filter_map(|pid| Some((pid, token(pid)?)))
        .collect();
    let is_root = |pid: u32, token: &String| {
        let above = parent(pid).and_then(|parent| held.get(&parent));
        above != Some(token)
    };
    let roots = held.iter().filter(|(pid, token)| is_root(**pid, token));
    roots.map(|(pid, token)| (token.clone(), *pid)).collect()
}

fn token(pid: u32) -> Option<String> {
    let words = words(pid);
    words.into_iter().find(|word| word.starts_with(PREFIX))
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}
