//! One host's pod: variables replaced, text read, units resolved by the plugin of the pod's kind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use names::{UnitName, VolumeName};
use podspec::{CompiledPod, Diagnostic, Draft, Preprocessed, Severity, Shape, VolumeKind};
use simplenetes_plugin::CompileInput;

use super::program::{self, Program};
use super::release_files::Resolved;
use super::{Compiler, Run, has_mistakes};
use crate::command_error::{CommandError, Kind};
use crate::config_dirs;
use crate::plugins::LoadedPlugin;
use crate::ports::OutOfPorts;
use crate::project::Host;
use crate::variables::{self, Source};

impl Compiler<'_> {
    /// The pod of one host, and the text that it was read from.
    pub(super) fn resolve(
        &self,
        run: &mut Run<'_>,
        host: &Host,
    ) -> Result<(Resolved, String), CommandError> {
        let preprocessed = self.preprocess(run, host)?;
        let is_program = self.header.runtime == Shape::EXECUTABLE;
        let plugin = if is_program {
            None
        } else {
            Some(run.plugins.for_kind(host, &self.header.runtime)?)
        };
        let shape = plugin
            .as_ref()
            .map_or_else(Shape::executable, |plugin| plugin.shape.clone());
        let (draft, errors) = self.parse(run, &preprocessed, &shape)?;
        let text = preprocessed.text;
        match plugin {
            None => Ok((self.resolve_program(run, &draft, errors)?, text)),
            Some(plugin) => Ok((
                Resolved::Compiled(Box::new(
                    self.ask_plugin(run, host, draft, errors, &plugin)?,
                )),
                text,
            )),
        }
    }

    /// The program as it is, when neither it nor its pod.yaml, which has so many `errors`, is wrong.
    fn resolve_program(
        &self,
        run: &mut Run<'_>,
        draft: &Draft,
        errors: usize,
    ) -> Result<Resolved, CommandError> {
        let found = self.program(draft);
        let problem = match &found {
            Some(Ok(program)) => program.warning(),
            Some(Err(problem)) => Some(problem),
            None => None,
        };
        let shown = problem.map(|problem| problem.diagnostic(draft));
        let shown: Vec<Diagnostic> = shown.into_iter().chain(program::ramdisks(draft)).collect();
        let errors = errors + self.show(run, &shown);
        match found {
            Some(Ok(program)) if errors == 0 => {
                let exposes = draft.exposes().to_vec();
                Ok(Resolved::Program(program.content, exposes))
            }
            _ => Err(has_mistakes(&self.pod, errors)),
        }
    }

    /// Replaces every variable by its value on this host.
    fn preprocess(&self, run: &mut Run<'_>, host: &Host) -> Result<Preprocessed, CommandError> {
        let mut out_of_ports: Option<OutOfPorts> = None;
        let (vars, ports) = (&run.vars, &mut run.ports);
        let mut value = |variable: &str| match variables::source(&self.pod, variable) {
            Source::AutomaticPort => match ports.port(&host.name, variable) {
                Ok(port) => Some(port.to_string()),
                Err(error) => {
                    out_of_ports.get_or_insert(error);
                    Some(String::new())
                }
            },
            source => self.value(vars, source),
        };
        let preprocessed = podspec::preprocess(&self.text, &mut value);
        match out_of_ports {
            Some(error) => Err(CommandError::mistake(error.to_string()).hint(
                "delete releases that are removed: `sns pod ls -s removed`, `sns pod delete`",
            )),
            None => Ok(preprocessed),
        }
    }

    /// Reads the text; shows everything that is wrong with it, and counts the errors. With errors the
    /// draft is good for asking the plugin only, which may find more.
    fn parse(
        &self,
        run: &mut Run<'_>,
        preprocessed: &Preprocessed,
        shape: &Shape,
    ) -> Result<(Draft, usize), CommandError> {
        match podspec::parse(preprocessed, &self.pod, shape) {
            Ok(draft) => {
                let explained = self.explain_missing_values(draft.diagnostics());
                let errors = self.show(run, &explained) + self.check_configs(run, &draft)?;
                Ok((draft, errors))
            }
            Err(problems) => {
                let errors = self.show(run, &self.explain_missing_values(&problems));
                Err(has_mistakes(&self.pod, errors))
            }
        }
    }

    /// podspec knows that a variable has no value; where the value belongs is known here.
    fn explain_missing_values(&self, found: &[Diagnostic]) -> Vec<Diagnostic> {
        let used = podspec::variables(&self.text);
        found
            .iter()
            .map(|problem| {
                let named = used
                    .iter()
                    .find(|variable| problem.message.contains(&format!("${{{variable}}}")));
                let hint =
                    named.and_then(|variable| match variables::source(&self.pod, variable) {
                        Source::ClusterVars { name, .. } => {
                            Some(format!("define it in cluster-vars.env: {name}="))
                        }
                        _ => None,
                    });
                problem
                    .clone()
                    .hinting(hint.or_else(|| problem.hint.clone()))
            })
            .collect()
    }

    /// Every config that a unit mounts must be in the project.
    fn check_configs(&self, run: &mut Run<'_>, draft: &Draft) -> Result<usize, CommandError> {
        let directory = self.cluster.files.config_dir(&self.pod);
        let present = config_dirs::names(&directory)?;
        let missing = draft
            .configs()
            .into_iter()
            .filter(|name| !present.contains(name));
        let problems: Vec<Diagnostic> = missing
            .map(|name| {
                let place = self.cluster.shown(&directory.join(name.as_str()));
                let hint = config_hint(&name, &self.pod);
                draft.diagnostic(
                    Severity::Error,
                    "volumes",
                    format!("config `{name}` has no directory {place}"),
                    Some(hint),
                )
            })
            .collect();
        Ok(self.show(run, &problems))
    }

    /// The file that is the pod; none when the pod.yaml names none.
    pub(super) fn program(&self, draft: &Draft) -> Option<Result<Program, program::Problem>> {
        let path = draft.executable()?;
        Some(match self.source.directory() {
            Some(directory) => Program::read(directory, path),
            None => Program::carried(self.source.file(path).ok(), path),
        })
    }

    /// Lets the plugin resolve the units. It is asked also when there are `errors` already, so that its
    /// own are shown with them.
    fn ask_plugin(
        &self,
        run: &mut Run<'_>,
        host: &Host,
        draft: Draft,
        errors: usize,
        plugin: &LoadedPlugin,
    ) -> Result<CompiledPod, CommandError> {
        let input = CompileInput {
            section: draft.section(),
            files: BTreeMap::new(),
            facts: self.facts(host),
        };
        let output = match plugin.plugin.compile(input) {
            Ok(output) => output,
            // It was asked about a pod with gaps: the known mistakes are the ones to tell.
            Err(_) if errors > 0 => return Err(has_mistakes(&self.pod, errors)),
            Err(error) => return Err(could_not_compile(plugin, &self.pod).caused_by(error)),
        };
        let problems: Vec<Diagnostic> = output
            .diagnostics
            .iter()
            .map(|problem| {
                let (message, hint) = (problem.message.clone(), problem.hint.clone());
                draft.diagnostic(problem.severity, &problem.path, message, hint)
            })
            .collect();
        let errors = errors + self.show(run, &problems);
        if errors > 0 {
            return Err(has_mistakes(&self.pod, errors));
        }
        let specs = unit_specs(output.specs, plugin)?;
        let units = specs.keys().cloned().collect::<BTreeSet<_>>();
        let mut pod = draft
            .resolve(Some(plugin.reference.clone()), specs)
            .map_err(|found| has_mistakes(&self.pod, found.len()))?;
        check_all_resolved(&pod, &units, plugin)?;
        self.make_binds_absolute(&mut pod)?;
        Ok(pod)
    }

    /// What a plugin may know of the host when it resolves a pod.
    fn facts(&self, host: &Host) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::new();
        facts.insert(
            "owner-is-root".to_owned(),
            host.is_owned_by_root(self.cluster.environment).to_string(),
        );
        if let Some(ip) = host.router_ip() {
            facts.insert("bind-address".to_owned(), ip.to_string());
            facts.insert("proxy-address".to_owned(), ip.to_string());
        }
        facts
    }

    /// A relative path of the host is relative to the pod's directory, for pods in development.
    fn make_binds_absolute(&self, pod: &mut CompiledPod) -> Result<(), CommandError> {
        for volume in &mut pod.volumes {
            if let VolumeKind::Host { bind } = &mut volume.kind
                && Path::new(bind.as_str()).is_relative()
            {
                let base: PathBuf =
                    self.source.directory().map(Path::to_owned).ok_or_else(|| {
                        CommandError::mistake(format!(
                            "volume {} of a special pod has the relative path {bind}",
                            volume.name
                        ))
                    })?;
                *bind = base.join(bind.as_str()).display().to_string();
            }
        }
        Ok(())
    }
}

fn config_hint(name: &VolumeName, pod: &names::PodName) -> String {
    if name.as_str().starts_with('_') {
        "configs whose names begin with `_` stay in the project: rename it, or mount it in development only".to_owned()
    } else {
        format!("make the directory, or import the pod's own: sns cluster importconfig {pod}")
    }
}

fn could_not_compile(plugin: &LoadedPlugin, pod: &names::PodName) -> CommandError {
    let message = format!("plugin {} could not compile pod {pod}", plugin.name());
    CommandError::new(Kind::Internal, message)
}

fn unit_specs(
    specs: BTreeMap<String, serde_json::Value>,
    plugin: &LoadedPlugin,
) -> Result<BTreeMap<UnitName, serde_json::Value>, CommandError> {
    let parsed = specs
        .into_iter()
        .map(|(name, spec)| Ok((name.parse()?, spec)));
    parsed
        .collect::<Result<_, names::NameError>>()
        .map_err(|error| {
            CommandError::new(
                Kind::Internal,
                format!(
                    "plugin {} resolved a unit with an impossible name",
                    plugin.name()
                ),
            )
            .caused_by(error)
        })
}

/// A unit without a spec would fail on the host, where nobody looks.
fn check_all_resolved(
    pod: &CompiledPod,
    resolved: &BTreeSet<UnitName>,
    plugin: &LoadedPlugin,
) -> Result<(), CommandError> {
    match pod.units.iter().find(|unit| !resolved.contains(&unit.name)) {
        Some(unit) => Err(CommandError::new(
            Kind::Internal,
            format!(
                "plugin {} found nothing wrong with unit {} and did not resolve it",
                plugin.name(),
                unit.name
            ),
        )),
        None => Ok(()),
    }
}
