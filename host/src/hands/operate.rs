//! One operation: the plugin is asked, looks are run and it is asked again, then its steps are run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use names::UnitName;
use podspec::CompiledPod;
use simplenetes_plugin::{Operation as Request, Planned, PodView, Step, View};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Hands;
use super::find::Unit;
use super::limits::limits_of;
use super::request::{describe, request};
use crate::driver::Deed;
use crate::life::{Errand, Operation, ProbeError, Trouble};
use crate::log::one_line;
use crate::looks::Units as _;
use crate::ramdisk;
use crate::steps::{Processes, StepError};
use crate::system::since_epoch;

/// A probe that is late is ended with all that it has started: so long that may take.
const PROBE_SLACK: Duration = Duration::from_secs(10);

impl Hands {
    pub(super) async fn do_operation(
        self,
        spec: Arc<CompiledPod>,
        operation: Operation,
        start_count: u32,
        state: Vec<u8>,
    ) -> Result<Deed, Trouble> {
        // The directory of the release may have been replaced, and with it the lock.
        self.hold().await;
        let since_s = since_epoch().as_secs();
        let line = describe(&operation);
        self.note_beside(line.clone()).await;
        if let Operation::Stop(..) = operation {
            // No proxy should dial a unit that has been asked to end.
            self.routes.written().await;
        }
        let mut done = match &operation {
            Operation::Start(unit) => self.start(&spec, unit, start_count, state).await,
            Operation::Remove => self.remove(&spec, state).await,
            Operation::Collect => self.clear(&spec, Operation::Collect, state).await,
            Operation::Errand(errand) => self.errand(&spec, *errand, state).await,
            Operation::Stop(..) | Operation::Kill(_) | Operation::Signal(..) | Operation::Tick => {
                self.carry_out(&spec, request(&spec, &operation), start_count, state)
                    .await
                    .map(|planned| self.deed(&planned))
            }
        };
        if let Err(trouble) = &mut done {
            self.name_holder(&spec, operation.unit(), since_s, trouble)
                .await;
            let line = format!("{line} failed: {}", trouble.message);
            self.note_beside(line).await;
        }
        done
    }

    pub(super) fn deed(&self, planned: &Planned) -> Deed {
        let (id, report) = (self.id().to_string(), &planned.report);
        Deed {
            state: report.state.get(&id).cloned(),
            survivors: BTreeMap::new(),
            ended: None,
            wake_at_ms: report.wake_at_ms.get(&id).copied(),
        }
    }

    async fn errand(
        &self,
        spec: &CompiledPod,
        errand: Errand,
        state: Vec<u8>,
    ) -> Result<Deed, Trouble> {
        let trouble = |message| Trouble {
            message,
            held: false,
        };
        match errand {
            Errand::Create => self.prepare(spec).await.map_err(trouble)?,
            Errand::CreateRamdisks => {
                self.make_ramdisks(spec).await.map_err(trouble)?;
                return Ok(Deed::default());
            }
            Errand::Download { .. } | Errand::CreateVolumes | Errand::Purge => {}
        }
        let request = request(spec, &Operation::Errand(errand));
        let planned = self.carry_out(spec, request, 0, state).await?;
        Ok(self.deed(&planned))
    }

    /// Runs a command in a unit.
    pub(super) async fn execute(
        &self,
        spec: &CompiledPod,
        unit: &UnitName,
        argv: Vec<String>,
        cause: String,
        limit: Duration,
    ) -> Result<(), ProbeError> {
        let request = Request {
            name: "execute".into(),
            cause,
            unit: Some(unit.to_string()),
            argv,
            ..Request::default()
        };
        let late = format!("no end within {} s", limit.as_secs());
        // A plugin that cannot be asked says nothing about the unit.
        let planned = timeout(limit, self.plan_steps(spec, request, 0, Vec::new()))
            .await
            .map_err(|_| ProbeError::NotAsked(format!("the plugin: {late}")))?
            .map_err(|trouble| ProbeError::NotAsked(trouble.message))?;
        let processes = Processes {
            probe_limit: Some(limit),
            ..self.processes(spec, 0)
        };
        // The runner keeps the limit; the rest is for it to end what the probe has started.
        timeout(limit + PROBE_SLACK, self.run_steps(&planned, &processes))
            .await
            .map_err(|_| ProbeError::Failed(late.clone()))?
            .map_err(|error| match error {
                StepError::Deadline { .. } => ProbeError::Failed(late),
                error if error.is_answer() => ProbeError::Failed(one_line(&error)),
                error => ProbeError::NotAsked(one_line(&error)),
            })
    }

    pub(super) async fn carry_out(
        &self,
        spec: &CompiledPod,
        request: Request,
        start_count: u32,
        state: Vec<u8>,
    ) -> Result<Planned, Trouble> {
        let planned = self.plan_steps(spec, request, start_count, state).await?;
        self.run_steps(&planned, &self.processes(spec, start_count))
            .await
            .map_err(|error| trouble_of_step(&error))?;
        Ok(planned)
    }

    pub(super) fn processes(&self, spec: &CompiledPod, start_count: u32) -> Processes {
        Processes {
            running: self.running(),
            start_count,
            address: Some(self.around.address.borrow().ip),
            limits: limits_of(spec),
            probe_limit: None,
        }
    }

    async fn run_steps(&self, planned: &Planned, processes: &Processes) -> Result<(), StepError> {
        for step in planned.steps.clone() {
            let unit = match &step {
                Step::Process { unit, .. } | Step::Detached { unit, .. } => {
                    unit.parse::<UnitName>().ok()
                }
                _ => None,
            };
            if let Err(error) = self.runner.run(step, processes).await {
                // A unit that runs needs no start: its shim did not answer, or was there already.
                let runs = match unit {
                    Some(unit) => matches!(self.settled(&unit).await, Unit::Running(_)),
                    None => false,
                };
                if !runs {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    pub(super) fn view(&self, spec: &CompiledPod, operation: Request, state: Vec<u8>) -> View {
        let units = self.truth.known(spec).into_iter();
        let pod = PodView {
            id: self.id().to_string(),
            spec: serde_json::to_value(spec).unwrap_or_default(),
            units: units.map(|known| known.truth).collect(),
            state,
        };
        View {
            operation,
            now_ms: u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX),
            facts: self.facts(),
            pods: vec![pod],
            answers: BTreeMap::new(),
        }
    }

    fn facts(&self) -> BTreeMap<String, String> {
        let release = self.release();
        let mut facts = self
            .around
            .facts(self.runner.owner_is_root, &self.runner.programs);
        let root = release.path().join("root");
        let places = [
            ("release-directory", release.path()),
            ("config-directory", &release.configs_dir()),
            ("log-directory", &release.log_dir()),
            ("root-directory", &root),
        ];
        let places = places.map(|(name, path)| (name.to_owned(), path.display().to_string()));
        facts.extend(places);
        facts
    }

    pub(super) async fn make_ramdisks(&self, spec: &CompiledPod) -> Result<(), String> {
        let ramdisks = &self.around.ramdisks;
        for (name, size_mib) in ramdisk::of(spec) {
            if ramdisks.are_plain() {
                self.note_beside(format!("the ramdisk {name} is a plain directory on disk: only the daemon of root can mount one")).await;
            }
            ramdisks
                .create(self.release(), self.id(), name, size_mib)
                .await?;
        }
        Ok(())
    }

    /// Removes what is there only while the pod is: the record of it, and what it has in memory.
    pub(super) async fn forget(&self) -> io::Result<()> {
        let run = self.release().run_dir();
        match spawn_blocking(move || fs::remove_dir_all(run)).await? {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.decryption.remove_all().await
    }
}

pub(super) fn trouble_of_step(error: &StepError) -> Trouble {
    Trouble {
        message: one_line(error),
        held: error.is_final(),
    }
}
