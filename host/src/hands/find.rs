//! Finding what an earlier daemon has left of a release: the pod in service, its units, its memory.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::Hands;
use crate::driver::{End, Found, Memory};
use crate::process::boot_id;
use crate::scan::read_pod;
use crate::shim::{RunFiles, RunRecord};

/// A shim that holds its lock but has not recorded anything yet gets so long to do it.
const SETTLE_TRIES: u32 = 250;
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

/// What the files of one unit say.
enum Unit {
    Running(RunRecord),
    Ended(u64, End),
    Nothing,
    /// Its shim is about to write.
    Unsettled,
}

impl Hands {
    pub(super) async fn find_all(self) -> Found {
        let run = self.release().run_dir();
        let mut found = Found {
            remains: run.exists(),
            ..Found::default()
        };
        let boot = boot_id().unwrap_or_default();
        let memory = fs::read(run.join("driver.json"))
            .ok()
            .and_then(|text| serde_json::from_slice::<Memory>(&text).ok());
        found.memory = memory
            .filter(|memory| memory.boot == boot)
            .unwrap_or_default();
        found.memory.boot.clone_from(&boot);
        found.spec = read_pod(self.id(), &run.join("pod")).ok();
        for unit in found.spec.iter().flat_map(|spec| &spec.units) {
            match settled(&RunFiles::of(self.release(), &unit.name), &boot).await {
                Unit::Running(record) => {
                    self.around.log.info(format_args!(
                        "{}: {} runs already (pid {})",
                        self.id(),
                        unit.name,
                        record.process.pid
                    ));
                    self.set_running(&unit.name, Some(record.process));
                    found
                        .running
                        .insert(unit.name.clone(), (record.started_ms, record.start_count));
                }
                Unit::Ended(at, end) => {
                    found.exited.insert(unit.name.clone(), (at, end));
                }
                Unit::Nothing | Unit::Unsettled => {}
            }
        }
        found
    }
}

async fn settled(files: &RunFiles, boot: &str) -> Unit {
    for _ in 0..SETTLE_TRIES {
        match look(files, boot) {
            Unit::Unsettled => tokio::time::sleep(SETTLE_PAUSE).await,
            known => return known,
        }
    }
    Unit::Unsettled
}

fn look(files: &RunFiles, boot: &str) -> Unit {
    let has_shim = is_locked(files.lock());
    let Some(record) = files.read_run() else {
        return if has_shim {
            Unit::Unsettled
        } else {
            Unit::Nothing
        };
    };
    if record.boot != boot {
        // The machine was started anew meanwhile, and so is the unit.
        return if has_shim {
            Unit::Unsettled
        } else {
            Unit::Nothing
        };
    }
    if let Some(exit) = files
        .read_exit()
        .filter(|exit| exit.start_count == record.start_count)
    {
        let end = End {
            code: Some(exit.code),
            why: exit.reason,
        };
        return if has_shim {
            Unit::Unsettled
        } else {
            Unit::Ended(exit.ended_ms, end)
        };
    }
    match (has_shim, record.process.is_alive()) {
        (true, true) => Unit::Running(record),
        (true, false) => Unit::Unsettled,
        // Its shim was killed, and the kernel ends the unit of a shim that is gone.
        (false, _) => Unit::Ended(record.started_ms, End::default()),
    }
}

fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}
