//! A pod on its host, and the verbs of the Pod API there: `simplenetesd pod FILE VERB`, over SSH or as a process of
//! this machine. The pod file itself is never executed here.

use hostfiles::HostHome;

use crate::command_error::{CommandError, Kind};
use crate::environment::Environment;
use crate::logs::visible;
use crate::project::Selected;
use crate::remote::{Command, Exit, Output, Remote, Remotes, Running};
use crate::suggest::did_you_mean;
use crate::syncing::{daemon, home};
use crate::ui::Ui;

/// A release on its host, which is connected.
pub(crate) struct PodOnHost {
    remote: Remote,
    /// `simplenetesd`, without arguments.
    program: Command,
    file: String,
    /// `POD:VERSION@HOST`.
    name: String,
}

impl PodOnHost {
    /// Connects to the host of a release.
    pub(crate) fn open(
        remotes: &Remotes,
        environment: &Environment,
        release: &Selected,
    ) -> Result<Self, CommandError> {
        let remote = remotes.connect(&release.host)?;
        let home = HostHome::new(home(environment, &release.host, &remote)?);
        Ok(Self {
            program: daemon(environment, &remote),
            remote,
            file: home.release(&release.id).pod().display().to_string(),
            name: release.to_string(),
        })
    }

    /// Runs a verb to its end. That it fails is an error.
    pub(crate) fn ask(&self, words: &[String]) -> Result<Output, CommandError> {
        let output = self.remote.output(&self.command(words), b"")?;
        match output.exit.is_success() {
            true => Ok(output),
            false => Err(self.failed(words, &output.exit, &output.stderr)),
        }
    }

    /// Starts a verb that says things while it runs.
    pub(crate) fn start(&self, words: &[String]) -> Result<Running, CommandError> {
        Ok(self.remote.run(&self.command(words))?)
    }

    /// Runs a verb with the operator's terminal or streams, and ends as it ends.
    pub(crate) fn become_verb(&self, words: &[String]) -> Result<(), CommandError> {
        let exit = self.remote.shell(&self.command(words))?;
        if exit.is_success() {
            return Ok(());
        }
        Err(self
            .is_missing(&exit)
            .unwrap_or_else(|| CommandError::theirs(exit.code())))
    }

    /// What it means that a verb has ended so, after it has said that.
    pub(crate) fn failed(&self, words: &[String], exit: &Exit, said: &str) -> CommandError {
        self.is_missing(exit).unwrap_or_else(|| {
            let verb = words.first().map_or("", String::as_str);
            let failed = format!("{}: {verb} failed ({exit})", self.name);
            // It stands below an error already.
            let lines = said.lines().map(|line| {
                let line = line.strip_prefix("[ERROR] ").unwrap_or(line);
                visible(line).into_owned()
            });
            CommandError::mistake(failed).listing(lines)
        })
    }

    fn command(&self, words: &[String]) -> Command {
        let command = self.program.clone().arg("pod").arg(self.file.clone());
        command.args(words.to_vec())
    }

    /// Why a verb could not run at all, if that is what the exit status means. The command of `exec` may have ended
    /// with the same, so the host is asked.
    fn is_missing(&self, exit: &Exit) -> Option<CommandError> {
        let ended = |command: Command| Some(self.remote.output(&command, b"").ok()?.exit);
        if exit.is_not_found() {
            return ended(self.program.clone().arg("--version"))?
                .is_not_found()
                .then(|| self.no_program());
        }
        let test = Command::new("test").arg("-e").arg(self.file.clone());
        let is_there = *exit != Exit::Code(1) || ended(test)? != Exit::Code(1);
        (!is_there).then(|| {
            CommandError::mistake(format!(
                "{} is not on its host: there is no {}",
                self.name, self.file
            ))
            .hint("bring it there with `sns cluster sync`")
        })
    }

    fn no_program(&self) -> CommandError {
        let host = self.remote.host();
        let error = CommandError::mistake(format!("host {host} has no simplenetesd"));
        error.hint(match self.remote.is_local() {
            true => "sns and simplenetesd are installed together: put both into one directory"
                .to_owned(),
            false => format!("`sns host setup install {host}` brings it there"),
        })
    }
}

/// Refuses a unit that a release does not have. What units a program of its own has is known to itself alone.
pub(crate) fn check_units<'u>(
    release: &Selected,
    units: impl IntoIterator<Item = &'u String>,
) -> Result<(), CommandError> {
    let Some(pod) = release.compiled()? else {
        return Ok(());
    };
    let known: Vec<&str> = pod.units.iter().map(|unit| unit.name.as_str()).collect();
    let mut units = units.into_iter();
    let Some(unit) = units.find(|unit| !known.contains(&unit.as_str())) else {
        return Ok(());
    };
    let error = CommandError::mistake(format!(
        "{release} has no unit `{unit}`: expected {}",
        known.join(", ")
    ));
    Err(error.hint_if(did_you_mean(unit, known)))
}

/// The releases of a command that did not do what was asked; each is told when it happens.
pub(crate) struct Failures<'u> {
    ui: &'u Ui,
    /// How many are asked.
    total: usize,
    failed: Vec<(String, CommandError)>,
}

impl<'u> Failures<'u> {
    /// None yet, of so many.
    pub(crate) fn of(ui: &'u Ui, total: usize) -> Self {
        Self {
            ui,
            total,
            failed: Vec::new(),
        }
    }

    /// One more.
    pub(crate) fn add(&mut self, release: &Selected, error: CommandError) {
        // A single one is the failure of the whole command, and is told there.
        if self.total > 1 {
            self.ui.failure(&error);
        }
        self.failed.push((release.to_string(), error));
    }

    /// True when no release has done it.
    pub(crate) fn are_all(&self) -> bool {
        self.failed.len() == self.total
    }

    /// What has become of all of them.
    pub(crate) fn sum_up(mut self, verb: &str) -> Result<(), CommandError> {
        if self.total == 1 {
            return self.failed.pop().map_or(Ok(()), |(_, error)| Err(error));
        }
        let mut kinds = self.failed.iter().map(|(_, error)| error.kind());
        let Some(first) = kinds.next() else {
            return Ok(());
        };
        // Trying again helps against nothing but a host that is out of reach.
        let kind = kinds.fold(first, |kind, other| match kind {
            Kind::Unreachable => other,
            kind => kind,
        });
        let names: Vec<String> = self.failed.into_iter().map(|(name, _)| name).collect();
        Err(CommandError::new(
            kind,
            format!(
                "{verb} failed on {} of {}: {}",
                names.len(),
                self.total,
                names.join(", ")
            ),
        ))
    }
}
