//! One operation: the plugin is asked, looks are run and it is asked again, then its steps are run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;

use hostfiles::replace;
use names::UnitName;
use podspec::{CompiledPod, ReloadSignal, VolumeKind};
use simplenetes_plugin::{
    CallError, FaultClass, Operation as Request, Planned, PodView, Step, UnitTruth, View,
};

use super::Hands;
use crate::driver::Deed;
use crate::life::{Nudge, Operation, StopReason, Trouble};
use crate::log::one_line;
use crate::runtime::Runtime;
use crate::shim::RunFiles;
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
        let line = describe(&operation);
        self.note(&line);
        let done = self.begin(&spec, operation, start_count, state).await;
        if let Err(trouble) = &done {
            self.note(&format!("{line} failed: {}", trouble.message));
        }
        done
    }

    async fn begin(
        &self,
        spec: &CompiledPod,
        operation: Operation,
        start_count: u32,
        state: Vec<u8>,
    ) -> Result<Deed, Trouble> {
        if let Operation::Start(_) = operation {
            self.prepare(spec).map_err(|message| Trouble {
                message,
                held: false,
            })?;
        }
        let planned = self
            .carry_out(spec, request(spec, &operation), start_count, state)
            .await?;
        match &operation {
            Operation::Start(unit) => self.note_start(unit, start_count)?,
            Operation::Remove => self.forget().map_err(|error| Trouble {
                message: format!("cannot remove `run`: {error}"),
                held: false,
            })?,
            Operation::Stop(..) | Operation::Kill(_) | Operation::Signal(..) => {}
        }
        Ok(Deed {
            state: planned.report.state.get(&self.id().to_string()).cloned(),
        })
    }

    /// Runs a command in a unit.
    pub(super) async fn execute(
        &self,
        spec: &CompiledPod,
        unit: &UnitName,
        argv: Vec<String>,
        cause: String,
    ) -> Result<(), String> {
        let request = Request {
            name: "execute".into(),
            cause,
            unit: Some(unit.to_string()),
            argv,
            ..Request::default()
        };
        self.carry_out(spec, request, 0, Vec::new())
            .await
            .map(drop)
            .map_err(|trouble| trouble.message)
    }

    async fn carry_out(
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
        let processes = Processes {
            running: self.running(),
            start_count,
            address: Some(self.around.address.borrow().ip),
        };
        let mut view = self.view(spec, request, state);
        for _ in 0..ROUNDS_MAX {
            let planned = ask(Arc::clone(&runtime), view.clone()).await?;
            if !planned
                .steps
                .iter()
                .any(|step| matches!(step, Step::Look { .. }))
            {
                for step in planned.steps.clone() {
                    self.runner
                        .run(step, &processes)
                        .await
                        .map_err(|error| trouble_of_step(&error))?;
                }
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
        let address = self.around.address.borrow().ip.to_string();
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
