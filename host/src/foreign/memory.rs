//! What one driver of a foreign pod leaves to the next, in `run/foreign.json`: which verb was called last,
//! so that a restart of the daemon calls none again, and the configs that the program knows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hostfiles::{ReplaceError, replace};
use names::VolumeName;
use serde::{Deserialize, Serialize};

use super::life::Last;
use crate::process::boot_id;

const FILE: &str = "foreign.json";

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Memory {
    /// The boot of the machine that all of this belongs to.
    pub(super) boot: String,
    /// The last verb that was called for `pod.state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Last>,
    /// The checksums of the configs as the program knows them.
    pub(super) configs: BTreeMap<VolumeName, String>,
}

impl Memory {
    /// True when a driver has left something there.
    pub(super) fn is_in(run_dir: &Path) -> bool {
        run_dir.join(FILE).exists()
    }

    /// What lies there. After a start of the machine nothing runs any more, whatever was called before.
    pub(super) fn read(run_dir: &Path) -> Self {
        let boot = boot_id().unwrap_or_default();
        let text = fs::read(run_dir.join(FILE)).ok();
        let memory: Self = text
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        if memory.boot == boot {
            return memory;
        }
        Self {
            boot,
            ..Self::default()
        }
    }

    /// Keeps it, where something was called; nothing comes back that was taken away.
    pub(super) fn write(&self, run_dir: &Path) -> Result<(), ReplaceError> {
        if !run_dir.is_dir() {
            return Ok(());
        }
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        replace(&run_dir.join(FILE), &text, 0o600).map(drop)
    }

    /// Forgets everything: the pod was removed. What somebody else has put there stays.
    pub(super) fn remove(run_dir: &Path) {
        let _ = fs::remove_file(run_dir.join(FILE));
        let _ = fs::remove_dir(run_dir);
    }
}
