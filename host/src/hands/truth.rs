//! What the shims of a release know of its units, as plugins are told it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use hostfiles::ReleaseDir;
use names::UnitName;
use podspec::CompiledPod;
use simplenetes_plugin::UnitTruth;

use crate::looks::{KnownUnit, Units};
use crate::process::ProcessId;
use crate::shim::RunFiles;

/// The units of one release.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    release: ReleaseDir,
    /// The processes of those that run.
    running: Arc<Mutex<BTreeMap<UnitName, ProcessId>>>,
    /// Those whose process has ended while their shim still ends what that has left.
    lingering: Arc<Mutex<BTreeSet<UnitName>>>,
    /// Those whose last start failed.
    failed: Arc<Mutex<BTreeSet<UnitName>>>,
    /// What their probes fail with, by unit and kind.
    probes: Arc<Mutex<BTreeMap<(UnitName, &'static str), String>>>,
}

impl Truth {
    pub(super) fn new(release: ReleaseDir) -> Self {
        Self {
            release,
            running: Arc::default(),
            lingering: Arc::default(),
            failed: Arc::default(),
            probes: Arc::default(),
        }
    }

    pub(super) fn running(&self) -> BTreeMap<UnitName, ProcessId> {
        let running = self.running.lock();
        running.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_running(&self, unit: &UnitName, process: Option<ProcessId>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match process {
            Some(process) => running.insert(unit.clone(), process),
            None => running.remove(unit),
        };
    }

    pub(super) fn has_failed(&self, unit: &UnitName) -> bool {
        let failed = self.failed.lock();
        failed
            .unwrap_or_else(PoisonError::into_inner)
            .contains(unit)
    }

    pub(super) fn set_failed(&self, unit: &UnitName, has_failed: bool) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if has_failed {
            failed.insert(unit.clone());
        } else {
            failed.remove(unit);
        }
    }

    /// A probe has failed with this, or has not; true when that is something new.
    pub(super) fn is_news(
        &self,
        unit: &UnitName,
        kind: &'static str,
        failure: Option<&str>,
    ) -> bool {
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (unit.clone(), kind);
        match failure {
            None => probes.remove(&key).is_some(),
            Some(failure) => {
                let before = probes.insert(key, failure.to_owned());
                before.as_deref() != Some(failure)
            }
        }
    }

    pub(super) fn lingers(&self) -> bool {
        let lingering = self.lingering.lock();
        let lingering = lingering.unwrap_or_else(PoisonError::into_inner);
        !lingering.is_empty()
    }

    pub(super) fn set_lingering(&self, unit: &UnitName, lingers: bool) {
        let lingering = self.lingering.lock();
        let mut lingering = lingering.unwrap_or_else(PoisonError::into_inner);
        if lingers {
            lingering.insert(unit.clone());
        } else {
            lingering.remove(unit);
        }
    }
}

impl Units for Truth {
    fn known(&self, spec: &CompiledPod) -> Vec<KnownUnit> {
        let running = self.running();
        let units = spec.units.iter().map(|unit| {
            let exit = RunFiles::of(&self.release, &unit.name).read_exit();
            let process = running.get(&unit.name);
            KnownUnit {
                start_count: exit.as_ref().map_or(0, |exit| exit.start_count),
                truth: UnitTruth {
                    unit: unit.name.to_string(),
                    pid: process.map(|process| process.pid),
                    running: process.is_some(),
                    exit: exit.as_ref().and_then(|exit| exit.code),
                    ended_ms: exit.map(|exit| exit.ended_ms),
                },
            }
        });
        units.collect()
    }
}
