//! The only place that runs steps. What a step may be was decided when the plugin recorded it; here it
//! happens: paths stay below the release directory, programs get exactly the environment that the step
//! names, and whatever does not end in time is ended with all its descendants.

mod command;
mod confined;
mod error;
mod fill;
mod keep;
mod lookup;
mod shim;
mod signal;
mod told;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostfiles::ReleaseDir;
use names::{ReleaseId, UnitName};
use podspec::Limits;
use simplenetes_plugin::{Answer, Step, StepOptions};

use crate::gate::{Launch, User, look_up};
use crate::lock::Hold;
use crate::open_files::OpenFiles;
use crate::process::ProcessId;
use crate::secrets::Secrets;

pub use error::StepError;
use error::succeeded;
pub use lookup::Programs;
use signal::send_signal;
pub use told::{Parting, Told};

/// Variables that belong to a user, of which another one must not know.
const PERSONAL: [&str; 6] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
];
/// Where another user looks for programs.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// Runs steps for one release.
#[derive(Debug, Clone)]
pub struct StepRunner {
    /// Pod and version.
    pub id: ReleaseId,
    /// The directory of the release.
    pub release: ReleaseDir,
    /// Where programs are found.
    pub programs: Programs,
    /// True when the host home belongs to root, the only case in which units may change their user.
    pub owner_is_root: bool,
    /// The limit of open files that units get.
    pub open_files: OpenFiles,
    /// The lock of the release, once it is taken: steps hold it as long as they run.
    pub hold: Hold,
    /// What is told about a step while it runs.
    told: Told,
    /// What becomes of steps when the daemon ends.
    parting: Parting,
    secrets: Secrets,
}

/// What a step needs to know of the units.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    /// The processes of those that run.
    pub running: BTreeMap<UnitName, ProcessId>,
    /// Which start a unit that is started now begins.
    pub start_count: u32,
    /// The address that its ports are bound to.
    pub address: Option<IpAddr>,
    /// What units may use at most.
    pub limits: BTreeMap<UnitName, Limits>,
    /// Set for a probe: commands have no more time than this, and leave nothing behind.
    pub probe_limit: Option<Duration>,
}

impl StepRunner {
    /// A runner for the release in this directory, whose lock is not taken yet.
    #[must_use]
    pub fn new(
        id: ReleaseId,
        release: ReleaseDir,
        programs: Programs,
        owner_is_root: bool,
        open_files: OpenFiles,
    ) -> Self {
        Self {
            id,
            release,
            programs,
            owner_is_root,
            open_files,
            hold: Hold::default(),
            told: Told::default(),
            parting: Parting::default(),
            secrets: Secrets::default(),
        }
    }

    /// The same runner, which fills in these secrets. Without them it has none.
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// The same runner, which hears of this whether the daemon ends.
    #[must_use]
    pub fn with_parting(self, parting: Parting) -> Self {
        Self { parting, ..self }
    }

    /// What goes between the driver and the step that is under way.
    #[must_use]
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Runs one step to its end. Commands and looks give what they wrote.
    ///
    /// # Errors
    /// The step failed; what it did before that stays.
    pub async fn run(
        &self,
        step: Step,
        processes: &Processes,
    ) -> Result<Option<Answer>, StepError> {
        match step {
            Step::Command {
                id,
                program,
                args,
                options,
            } => {
                let limit = processes.probe_limit;
                let answer = self.command(&id, &program, args, &options, limit).await?;
                succeeded(id, answer).map(Some)
            }
            Step::Look {
                id,
                program,
                args,
                options,
            } => self
                .command(&id, &program, args, &options, processes.probe_limit)
                .await
                .map(Some),
            Step::Process {
                unit,
                program,
                args,
                options,
            } => self
                .process(&unit, &program, args, options, false, processes)
                .await
                .map(|()| None),
            Step::Detached {
                unit,
                program,
                args,
                options,
            } => self
                .process(&unit, &program, args, options, true, processes)
                .await
                .map(|()| None),
            Step::Signal { unit, signal } => send_signal(&unit, &signal, processes).map(|()| None),
            Step::Attach { .. } => Err(StepError::Refused(
                "the plugin wants to attach a terminal, and there is none".into(),
            )),
            Step::Compose {
                path,
                content,
                mode,
            } => {
                let content = self.filled(&content)?;
                let write = Step::Write {
                    path,
                    content,
                    mode,
                };
                self.change(write).await.map(|()| None)
            }
            Step::Write { .. }
            | Step::Link { .. }
            | Step::MakeDirectory { .. }
            | Step::Remove { .. } => self.change(step).await.map(|()| None),
        }
    }

    /// Runs a step on files.
    async fn change(&self, step: Step) -> Result<(), StepError> {
        let release = self.release.clone();
        tokio::task::spawn_blocking(move || confined::run(&release, &step))
            .await
            .unwrap_or_else(|_| Err(StepError::Refused("the step was aborted".into())))
    }

    /// The program of a step with everything resolved. A unit that becomes another user gets its
    /// directory below `root/`.
    pub(crate) fn launch(
        &self,
        program: &str,
        args: Vec<String>,
        options: StepOptions,
        unit: Option<&UnitName>,
    ) -> Result<Launch, StepError> {
        let user = self.user(program, &options)?;
        let working_directory = self.working_directory(&options);
        let release = self.release.path().to_owned();
        let environment = Self::environment(&options, user.as_ref());
        let run_as = options.user.clone();
        let filled = self.fill(args, environment, options)?;
        Ok(Launch {
            program: self.programs.find(program, &working_directory),
            args: filled.args,
            env: filled.env,
            working_directory,
            root: user.and(unit).map(|unit| (release, unit.clone())),
            user: run_as,
            stdin: filled.stdin,
            group: Vec::new(),
        })
    }

    fn working_directory(&self, options: &StepOptions) -> PathBuf {
        match &options.working_directory {
            // An absolute path stands as it is: the pod declares it.
            Some(path) => self.release.path().join(path),
            None => self.release.path().to_owned(),
        }
    }

    /// What the step inherits and names. Another user gets nothing that belongs to the daemon's.
    fn environment(options: &StepOptions, user: Option<&User>) -> Vec<(String, String)> {
        let inherited = options
            .inherit
            .iter()
            .filter(|name| user.is_none() || !PERSONAL.contains(&name.as_str()))
            .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
        let of_user = options.user.iter().zip(user).flat_map(|(name, user)| {
            let variables = [
                ("HOME", user.home.as_str()),
                ("USER", name),
                ("LOGNAME", name),
                ("PATH", PATH_DEFAULT),
            ];
            variables.map(|(name, value)| (name.to_owned(), value.to_owned()))
        });
        inherited
            .chain(of_user)
            .chain(options.env.iter().cloned())
            .collect()
    }

    /// The user that the step runs as; none when it is the daemon's own.
    fn user(&self, program: &str, options: &StepOptions) -> Result<Option<User>, StepError> {
        self.check_user(options)?;
        let user = options.user.as_ref();
        user.map(|name| look_up(Path::new("/etc"), name))
            .transpose()
            .map_err(|source| StepError::Start {
                program: program.to_owned(),
                source,
            })
    }

    fn check_user(&self, options: &StepOptions) -> Result<(), StepError> {
        if options.user.is_some() && !self.owner_is_root {
            return Err(StepError::Refused(
                "only units of a host home that belongs to root may change their user".into(),
            ));
        }
        Ok(())
    }
}
