//! One operation: the plugin is asked, looks are run and it is asked again, then its steps are run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hostfiles::replace;
use names::UnitName;
use podspec::{CompiledPod, ReloadSignal, VolumeKind};
use simplenetes_plugin::{
    CallError, FaultClass, Operation as Request, Planned, PodView, Step, UnitTruth, View,
};
use tokio::time::timeout;

use super::Hands;
use super::find::Unit;
use crate::driver::{Deed, Survivor};
use crate::life::{Nudge, Operation, ProbeError, StopReason, Trouble};
use crate::log::one_line;
use crate::runtime::Runtime;
use crate::shim::{RunFiles, RunRecord};
use crate::steps::{Processes, StepError};
use crate::system::since_epoch;

/// How often a plugin may look before it must plan.
const ROUNDS_MAX: u32 = 4;

impl Hands {
    pub(super) async fn do_operation(
        self,
        spec: Arc<CompiledPod>,
        operation: Operation,
        start_count: u32,
        state: Vec<u8>,
    ) -> Result<Deed, Trouble> {
        self.around
            .log
            .info(format_args!("{}: {}", self.id(), describe(&operation)));
        let done = match &operation {
            Operation::Start(unit) => self.start(&spec, unit, start_count, state).await,
            Operation::Remove => self.remove(&spec, state).await,
            Operation::Stop(..) | Operation::Kill(_) | Operation::Signal(..) => self
                .carry_out(&spec, request(&spec, &operation), start_count, state)
                .await
                .map(|planned| self.deed(&planned)),
        };
        if let Err(trouble) = &done {
            self.around.log.warn(format_args!(
                "{}: {} failed: {}",
                self.id(),
                describe(&operation),
                trouble.message
            ));
        }
        done
    }

    fn deed(&self, planned: &Planned) -> Deed {
        Deed {
            state: planned.report.state.get(&self.id().to_string()).cloned(),
            survivors: BTreeMap::new(),
        }
    }

    /// A start may fail and leave a process all the same: then it is the process that counts.
    async fn start(
        &self,
        spec: &CompiledPod,
        unit: &UnitName,
        start_count: u32,
        state: Vec<u8>,
    ) -> Result<Deed, Trouble> {
        self.prepare(spec).map_err(|message| Trouble {
            message,
            held: false,
        })?;
        let request = request(spec, &Operation::Start(unit.clone()));
        let planned = self.carry_out(spec, request, start_count, state).await;
        let (mut deed, trouble) = match planned {
            Ok(planned) => match self.note_start(unit, start_count) {
                Ok(()) => return Ok(self.deed(&planned)),
                Err(trouble) => (self.deed(&planned), (None, trouble)),
            },
            Err(trouble) => (Deed::default(), (Some(trouble.message.clone()), trouble)),
        };
        let (incomplete, trouble) = trouble;
        let survivor = self.survivor(unit, incomplete).await.ok_or(trouble)?;
        deed.survivors.insert(unit.clone(), survivor);
        Ok(deed)
    }

    /// Nothing is removed under a unit that runs after all: its stop has to come first.
    async fn remove(&self, spec: &CompiledPod, state: Vec<u8>) -> Result<Deed, Trouble> {
        let trouble = |message| Trouble {
            message,
            held: false,
        };
        let mut survivors = BTreeMap::new();
        for unit in &spec.units {
            match self.settled(&unit.name).await {
                Unit::Running(record) => {
                    survivors.insert(unit.name.clone(), self.take_over(&unit.name, &record, None));
                }
                Unit::Unsettled => {
                    return Err(trouble(format!(
                        "nobody can say whether unit {} still runs",
                        unit.name
                    )));
                }
                Unit::Ended(..) | Unit::Orphaned(_) | Unit::Nothing => {}
            }
        }
        if !survivors.is_empty() {
            return Ok(Deed {
                state: None,
                survivors,
            });
        }
        let planned = self
            .carry_out(spec, request(spec, &Operation::Remove), 0, state)
            .await?;
        self.forget()
            .map_err(|error| trouble(format!("cannot remove `run`: {error}")))?;
        Ok(self.deed(&planned))
    }

    /// The process that a unit has although its start failed.
    async fn survivor(&self, unit: &UnitName, incomplete: Option<String>) -> Option<Survivor> {
        match self.settled(unit).await {
            Unit::Running(record) => Some(self.take_over(unit, &record, incomplete)),
            Unit::Ended(..) | Unit::Orphaned(_) | Unit::Nothing | Unit::Unsettled => None,
        }
    }

    fn take_over(
        &self,
        unit: &UnitName,
        record: &RunRecord,
        incomplete: Option<String>,
    ) -> Survivor {
        self.around.log.warn(format_args!(
            "{}: {unit} runs although nobody knew it (pid {}), it is taken over",
            self.id(),
            record.process.pid
        ));
        self.set_running(unit, Some(record.process));
        Survivor {
            since_ms: record.started_ms,
            start_count: record.start_count,
            incomplete,
        }
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
        timeout(limit, self.run_steps(&planned, &self.processes(0)))
            .await
            .map_err(|_| ProbeError::Failed(late))?
            .map_err(|error| {
                if error.is_answer() {
                    ProbeError::Failed(one_line(&error))
                } else {
                    ProbeError::NotAsked(one_line(&error))
                }
            })
    }

    async fn carry_out(
        &self,
        spec: &CompiledPod,
        request: Request,
        start_count: u32,
        state: Vec<u8>,
    ) -> Result<Planned, Trouble> {
        let planned = self.plan_steps(spec, request, start_count, state).await?;
        self.run_steps(&planned, &self.processes(start_count))
            .await
            .map_err(|error| trouble_of_step(&error))?;
        Ok(planned)
    }

    fn processes(&self, start_count: u32) -> Processes {
        Processes {
            running: self.running(),
            start_count,
        }
    }

    async fn run_steps(&self, planned: &Planned, processes: &Processes) -> Result<(), StepError> {
        for step in planned.steps.clone() {
            let unit = match &step {
                Step::Process { unit, .. } => unit.parse::<UnitName>().ok(),
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

    /// Asks the plugin until it has seen enough to say what should be done.
    async fn plan_steps(
        &self,
        spec: &CompiledPod,
        request: Request,
        start_count: u32,
        state: Vec<u8>,
    ) -> Result<Planned, Trouble> {
        let kinds = Arc::clone(&*self.around.kinds.borrow());
        let runtime = kinds.runtime(&spec.runtime).map_err(|message| Trouble {
            message,
            held: true,
        })?;
        let processes = self.processes(start_count);
        let mut view = self.view(spec, request, state);
        for _ in 0..ROUNDS_MAX {
            let planned = ask(Arc::clone(&runtime), view.clone()).await?;
            if !planned
                .steps
                .iter()
                .any(|step| matches!(step, Step::Look { .. }))
            {
                return Ok(planned);
            }
            for step in planned.steps {
                if let Step::Look { id, .. } = &step {
                    let id = id.clone();
                    let answer = self
                        .runner
                        .run(step, &processes)
                        .await
                        .map_err(|error| trouble_of_step(&error))?;
                    view.answers.extend(answer.map(|answer| (id, answer)));
                }
            }
        }
        Err(Trouble {
            message: format!("the plugin still wants to look after {ROUNDS_MAX} rounds"),
            held: true,
        })
    }

    fn view(&self, spec: &CompiledPod, operation: Request, state: Vec<u8>) -> View {
        let running = self.running();
        let units = spec.units.iter().map(|unit| {
            let exit = RunFiles::of(self.release(), &unit.name).read_exit();
            let process = running.get(&unit.name);
            UnitTruth {
                unit: unit.name.to_string(),
                pid: process.map(|process| process.pid),
                running: process.is_some(),
                exit: exit.as_ref().map(|exit| exit.code),
                ended_ms: exit.map(|exit| exit.ended_ms),
            }
        });
        let pod = PodView {
            id: self.id().to_string(),
            spec: serde_json::to_value(spec).unwrap_or_default(),
            units: units.collect(),
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
        let address = self.around.address.borrow().to_string();
        let facts = [
            ("release-directory", release.path().display().to_string()),
            (
                "config-directory",
                release.configs_dir().display().to_string(),
            ),
            ("log-directory", release.log_dir().display().to_string()),
            (
                "root-directory",
                release.path().join("root").display().to_string(),
            ),
            ("bind-address", address.clone()),
            ("proxy-address", address),
            ("owner", self.around.owner.clone()),
            ("owner-is-root", self.runner.owner_is_root.to_string()),
            ("search-path", self.runner.programs.as_path()),
        ];
        facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// What every kind needs before a unit starts: the pod in service on record, and its ramdisks. A
    /// daemon that is not root cannot mount any, so they are plain directories.
    fn prepare(&self, spec: &CompiledPod) -> Result<(), String> {
        let run = self.release().run_dir();
        fs::create_dir_all(&run)
            .map_err(|error| format!("cannot make {}: {error}", run.display()))?;
        let text = spec
            .to_text()
            .map_err(|error| format!("cannot write the pod in service: {error}"))?;
        replace(&run.join("pod"), text.as_bytes(), 0o600).map_err(|error| one_line(&error))?;
        for volume in &spec.volumes {
            if let VolumeKind::Ramdisk { .. } = volume.kind {
                let path = self.release().ramdisk(&volume.name);
                fs::create_dir_all(&path)
                    .map_err(|error| format!("cannot make {}: {error}", path.display()))?;
            }
        }
        Ok(())
    }

    fn note_start(&self, unit: &UnitName, start_count: u32) -> Result<(), Trouble> {
        let record = RunFiles::of(self.release(), unit)
            .read_run()
            .filter(|record| record.start_count == start_count);
        let Some(record) = record else {
            return Err(Trouble {
                message: format!("the plugin started no process for unit {unit}"),
                held: true,
            });
        };
        self.set_running(unit, Some(record.process));
        Ok(())
    }

    fn forget(&self) -> io::Result<()> {
        for directory in [
            self.release().run_dir(),
            self.release().path().join("ramdisk"),
        ] {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

async fn ask(runtime: Arc<dyn Runtime>, view: View) -> Result<Planned, Trouble> {
    let asked = tokio::task::spawn_blocking(move || runtime.plan(Arc::new(view))).await;
    let answered = asked.map_err(|_| Trouble {
        message: "the call of the plugin was aborted".into(),
        held: false,
    })?;
    answered.map_err(|error| trouble_of_call(&error))
}

fn trouble_of_call(error: &CallError) -> Trouble {
    let held = match error.class {
        FaultClass::GiveUp | FaultClass::NotGranted => true,
        FaultClass::Retry => false,
    };
    Trouble {
        message: one_line(error),
        held,
    }
}

fn trouble_of_step(error: &StepError) -> Trouble {
    Trouble {
        message: one_line(error),
        held: error.is_final(),
    }
}

/// The operation in the words of the contract.
fn request(spec: &CompiledPod, operation: &Operation) -> Request {
    let unit = operation.unit().map(ToString::to_string);
    let about = |name: &str, cause: &str| Request {
        name: name.into(),
        cause: cause.into(),
        unit: unit.clone(),
        ..Request::default()
    };
    match operation {
        Operation::Start(_) => about("start", "wanted state is running"),
        Operation::Stop(_, reason) => about("stop", because(*reason)),
        Operation::Kill(_) => about("kill", "it did not end when it was asked to"),
        Operation::Remove => about("remove", "wanted state is removed"),
        Operation::Signal(name, nudge) => {
            let cause = match nudge {
                Nudge::Config => "a config has changed",
                Nudge::Signal => "another unit has started",
            };
            match spec.unit(name).and_then(|unit| unit.signal.clone()) {
                Some(ReloadSignal::Command(argv)) => Request {
                    argv,
                    ..about("execute", cause)
                },
                Some(ReloadSignal::Signal(signal)) => Request {
                    arguments: BTreeMap::from([("signal".to_owned(), signal)]),
                    ..about("signal", cause)
                },
                None => about("signal", cause),
            }
        }
    }
}

fn because(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Pod => "its pod should not run",
        StopReason::Restart => "a config has changed and the unit names no signal",
        StopReason::Unhealthy => "it did not pass its probe",
    }
}

fn describe(operation: &Operation) -> String {
    match operation {
        Operation::Start(unit) => format!("start {unit}"),
        Operation::Stop(unit, reason) => format!("stop {unit}: {}", because(*reason)),
        Operation::Kill(unit) => format!("kill {unit}: it did not end in time"),
        Operation::Signal(unit, Nudge::Config) => format!("signal {unit}: a config has changed"),
        Operation::Signal(unit, Nudge::Signal) => {
            format!("signal {unit}: another unit has started")
        }
        Operation::Remove => "remove".to_owned(),
    }
}
