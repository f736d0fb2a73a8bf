//! The files in which a shim records its unit, below `run/` of the release.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hostfiles::{ReleaseDir, ReplaceError, remove_leftovers, replace};
use names::UnitName;
use serde::{Deserialize, Serialize};

use crate::cgroup::Group;
use crate::process::ProcessId;

/// `run/UNIT.json`: which process the unit is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// The process of the unit.
    pub process: ProcessId,
    /// Its shim.
    pub shim: ProcessId,
    /// The boot of the machine that both belong to.
    pub boot: String,
    /// When it was started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Which start of the unit this is.
    pub start_count: u32,
    /// The address that its ports are bound to; none in a record of an earlier version.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// The descriptors at which the shim reads standard output and standard error; none in a record of an
    /// earlier version.
    #[serde(default)]
    pub streams: Option<[i32; 2]>,
    /// True when its program could not be executed: it ends without having run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// True when the unit has another parent than its shim.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    /// The control group of the unit; none when nothing limits it, and in a record of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// `run/UNIT.exit`: how the process of the unit ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitRecord {
    /// Its exit status, 128 + signal number; 127 and 126 when its program could not be executed. None when
    /// it was the child of somebody else, who alone knows it.
    pub code: Option<i32>,
    /// When, in milliseconds since the Unix epoch.
    pub ended_ms: u64,
    /// Which start of the unit this was.
    pub start_count: u32,
    /// Why its program could not be executed, or that it was killed for memory.
    pub reason: Option<String>,
}

/// The files of one unit.
#[derive(Debug, Clone)]
pub struct RunFiles {
    run: PathBuf,
    lock: PathBuf,
    exit: PathBuf,
}

impl RunFiles {
    /// The files of this unit.
    #[must_use]
    pub fn of(release: &ReleaseDir, unit: &UnitName) -> Self {
        let file = |end: &str| release.run_dir().join(format!("{unit}.{end}"));
        Self {
            run: file("json"),
            lock: file("lock"),
            exit: file("exit"),
        }
    }

    /// The file that the shim keeps locked while it lives.
    #[must_use]
    pub fn lock(&self) -> &Path {
        &self.lock
    }

    /// Which process the unit is or was; none when it was never started or the file is damaged.
    #[must_use]
    pub fn read_run(&self) -> Option<RunRecord> {
        read(&self.run)
    }

    /// The same, for those who would end something because there is no record.
    ///
    /// # Errors
    /// There may be one, but it cannot be read now.
    pub fn try_read_run(&self) -> io::Result<Option<RunRecord>> {
        match fs::read(&self.run) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How it ended; none while it runs, or when nobody saw the end.
    #[must_use]
    pub fn read_exit(&self) -> Option<ExitRecord> {
        read(&self.exit)
    }

    pub(super) fn write_run(&self, record: &RunRecord) -> Result<(), ReplaceError> {
        write(&self.run, record)
    }

    pub(super) fn write_exit(&self, record: &ExitRecord) -> Result<(), ReplaceError> {
        write(&self.exit, record)
    }

    /// Removes both records, and halves of them that a shim has left which was killed. Only who holds the
    /// lock may do that.
    pub(super) fn forget(&self) -> io::Result<()> {
        for path in [&self.run, &self.exit] {
            remove_leftovers(path)?;
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write<T: Serialize>(path: &Path, record: &T) -> Result<(), ReplaceError> {
    let mut text = serde_json::to_vec(record).unwrap_or_default();
    text.push(b'\n');
    replace(path, &text, 0o600).map(|_| ())
}
