//! `pod.yaml` → a `pod` beside it that runs as it is, without any cluster. Values come from `pod.env` beside
//! the text; the configs are those of the pod itself.

mod places;

use std::collections::BTreeMap;
use std::fs;

use hostfiles::{ClusterVars, Format as _};
use names::{PodName, ReleaseId};
use podspec::{Diagnostic, Draft, Header, Severity, Shape};

use super::program::{self, Program};
use super::release_files::{self, Resolved};
use super::told::Told;
use super::{has_mistakes, header_of, units};
use crate::command_error::{CommandError, Kind};
use crate::config_dirs;
use crate::environment::Environment;
use crate::plugins::PluginLoader;
use crate::ports;
use crate::ui::Ui;
use crate::variables;
use places::Places;
pub(crate) use places::Wanted;

/// A pod that is compiled for itself.
pub(crate) struct Standalone<'a> {
    environment: &'a Environment,
    ui: &'a Ui,
    places: Places,
    pod: PodName,
    /// The author's text, before any variable is replaced.
    text: String,
    header: Header,
    vars: ClusterVars,
    /// True when variables of the process count too.
    takes_environment: bool,
}

impl<'a> Standalone<'a> {
    /// Finds the pod and reads what it is made of.
    pub(crate) fn new(
        environment: &'a Environment,
        ui: &'a Ui,
        wanted: &Wanted,
    ) -> Result<Self, CommandError> {
        let places = Places::find(environment, wanted)?;
        let pod = match &wanted.name {
            Some(name) => name.clone(),
            None => places.pod_name()?,
        };
        let text = fs::read_to_string(&places.source).map_err(|error| {
            CommandError::files(format!("could not read {}", places.shown_source()), error)
        })?;
        let header = header_of(&pod, &text, &places.shown_source(), ui)?;
        Ok(Self {
            vars: places.vars()?,
            takes_environment: wanted.takes_environment,
            environment,
            ui,
            places,
            pod,
            text,
            header,
        })
    }

    /// The release that is compiled.
    pub(crate) fn release(&self) -> ReleaseId {
        ReleaseId {
            pod: self.pod.clone(),
            version: self.header.pod_version.clone(),
        }
    }

    /// The compiled pod, as it can be typed from where the user stands.
    pub(crate) fn shown_pod(&self) -> String {
        self.places.shown_pod()
    }

    /// Compiles it. What was found in the text is added to `found`, also after a failure.
    pub(crate) fn run(&self, found: &mut Vec<serde_json::Value>) -> Result<(), CommandError> {
        self.places.check_target(&self.release(), &self.header)?;
        let mut told = Told::new(self.ui, self.places.shown_source(), &self.text, found);
        let resolved = self.resolve(&mut told)?;
        self.places.make_target()?;
        if !self.places.is_beside() {
            self.copy_configs()?;
        }
        release_files::write(&self.places.target, &resolved)?;
        self.warn_of_missing_daemon();
        Ok(())
    }

    fn resolve(&self, told: &mut Told<'_>) -> Result<Resolved, CommandError> {
        let plugin = if self.header.runtime == Shape::EXECUTABLE {
            None
        } else {
            let mut plugins = PluginLoader::new(self.environment, self.ui);
            Some(plugins.of_user(&self.header.runtime)?)
        };
        let shape = plugin
            .as_ref()
            .map_or_else(Shape::executable, |plugin| plugin.shape.clone());
        let (draft, errors) = self.parse(&shape, told)?;
        let directory = &self.places.directory;
        match plugin {
            None => {
                let read = |name: &str| Program::read(directory, name);
                program::resolve(draft.executable().map(read), &draft, errors, told)
            }
            Some(plugin) => {
                let is_root = rustix::process::geteuid().is_root();
                let facts = BTreeMap::from([("owner-is-root".to_owned(), is_root.to_string())]);
                let pod = units::resolve(draft, errors, &plugin, facts, Some(directory), told)?;
                Ok(Resolved::Compiled(Box::new(pod)))
            }
        }
    }

    /// Reads the text; shows everything that is wrong with it, and counts the errors.
    fn parse(&self, shape: &Shape, told: &mut Told<'_>) -> Result<(Draft, usize), CommandError> {
        let preprocessed = podspec::preprocess(&self.text, &mut |name| self.value(name));
        match podspec::parse(&preprocessed, &self.pod, shape) {
            Ok(draft) => {
                let errors = told.show(&self.explain_missing(draft.diagnostics()));
                Ok((
                    draft.clone(),
                    errors + told.show(&self.missing_configs(&draft)),
                ))
            }
            Err(problems) => {
                let errors = told.show(&self.explain_missing(&problems));
                Err(has_mistakes(&self.pod, errors))
            }
        }
    }

    /// The value of a variable.
    fn value(&self, name: &str) -> Option<String> {
        if name == "podVersion" {
            return Some(self.header.pod_version.to_string());
        }
        let known = self.vars.get(name).map(str::to_owned);
        let known = known.or_else(|| {
            let takes = self.takes_environment;
            takes.then(|| self.environment.variable(name)).flatten()
        });
        known.or_else(|| name.starts_with('_').then(String::new))
    }

    /// A port that nobody has chosen is a mistake: without it the pod would be out of reach.
    fn explain_missing(&self, found: &[Diagnostic]) -> Vec<Diagnostic> {
        let file = self.places.shown_vars();
        variables::explain_missing(&self.text, found, |name, problem| {
            if ports::is_automatic(name) {
                problem.severity = Severity::Error;
                problem.message = format!("only a cluster chooses `${{{name}}}`");
                problem.hint = Some(format!("write a port into {file}: {name}=8080"));
            } else {
                problem.hint = Some(format!("define it in {file}: {name}="));
            }
        })
    }

    /// Every config that a unit mounts must lie beside the text.
    fn missing_configs(&self, draft: &Draft) -> Vec<Diagnostic> {
        let configs = self.places.directory.join("config");
        let missing = draft.configs().into_iter().filter_map(|name| {
            let directory = configs.join(name.as_str());
            let message = format!(
                "config `{name}` has no directory {}",
                self.places.shown(&directory)
            );
            let hint = "make the directory, beside the pod.yaml; the unit finds its files where it mounts the config";
            (!directory.is_dir()).then(|| {
                let path = draft.volume_path(&name);
                draft.diagnostic(Severity::Error, &path, message, Some(hint.to_owned()))
            })
        });
        missing.collect()
    }

    /// A pod that lies elsewhere has its configs beside it, too.
    fn copy_configs(&self) -> Result<(), CommandError> {
        let source = self.places.directory.join("config");
        if source.is_dir() {
            config_dirs::copy(&source, &self.places.target.configs_dir())?;
        }
        Ok(())
    }

    fn warn_of_missing_daemon(&self) {
        if !self.environment.has_program("simplenetesd") {
            self.ui.warning(&format!(
                "{} cannot run here yet: there is no simplenetesd on the PATH",
                self.shown_pod()
            ));
            self.ui
                .hint("it is installed together with sns: add its directory to PATH");
        }
    }
}

impl Places {
    /// What stands in `pod.env`; nothing when there is none.
    fn vars(&self) -> Result<ClusterVars, CommandError> {
        let text = match fs::read_to_string(&self.vars_file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(CommandError::files(
                    format!("could not read {}", self.shown_vars()),
                    error,
                ));
            }
        };
        ClusterVars::parse(&text).map_err(|error| {
            let line = error.line.map_or(String::new(), |line| format!(":{line}"));
            CommandError::new(
                Kind::Diagnostics,
                format!(
                    "{}{line}: found `{}`, expected {}",
                    self.shown_vars(),
                    error.found,
                    error.expected
                ),
            )
        })
    }
}
