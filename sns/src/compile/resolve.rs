//! One host's pod: variables replaced, text read, units resolved by the plugin of the pod's kind.

use std::collections::BTreeMap;

use names::VolumeName;
use podspec::{Diagnostic, Draft, Preprocessed, Severity, Shape};

use super::program::{self, Program};
use super::release_files::Resolved;
use super::{Compiler, Run, has_mistakes, units};
use crate::command_error::CommandError;
use crate::config_dirs;
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
            Some(
                run.plugins
                    .for_kind(self.cluster, host, &self.header.runtime)?,
            )
        };
        let shape = plugin
            .as_ref()
            .map_or_else(Shape::executable, |plugin| plugin.shape.clone());
        let (draft, errors) = self.parse(run, &preprocessed, &shape)?;
        let text = preprocessed.text;
        match plugin {
            None => {
                let found = self.program(&draft);
                Ok((
                    program::resolve(found, &draft, errors, &mut run.told)?,
                    text,
                ))
            }
            Some(plugin) => {
                let (facts, base) = (self.facts(host), self.source.directory());
                let pod = units::resolve(draft, errors, &plugin, facts, base, &mut run.told)?;
                Ok((Resolved::Compiled(Box::new(pod)), text))
            }
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
                let errors = run.told.show(&explained) + self.check_configs(run, &draft)?;
                Ok((draft, errors))
            }
            Err(problems) => {
                let errors = run.told.show(&self.explain_missing_values(&problems));
                Err(has_mistakes(&self.pod, errors))
            }
        }
    }

    /// podspec knows that a variable has no value; where the value belongs is known here.
    fn explain_missing_values(&self, found: &[Diagnostic]) -> Vec<Diagnostic> {
        variables::explain_missing(&self.text, found, |variable, problem| {
            if let Source::ClusterVars { name, .. } = variables::source(&self.pod, variable) {
                problem.hint = Some(format!("define it in cluster-vars.env: {name}="));
            }
        })
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
                let is_encrypted = draft.encrypted_configs().any(|known| *known == name);
                let hint = match is_encrypted {
                    true => format!(
                        "put a secret into it: sns secret set {}/{name}/FILE",
                        self.pod
                    ),
                    false => config_hint(&name, &self.pod),
                };
                draft.diagnostic(
                    Severity::Error,
                    &draft.volume_path(&name),
                    format!("config `{name}` has no directory {place}"),
                    Some(hint),
                )
            })
            .collect();
        Ok(run.told.show(&problems))
    }

    /// The file that is the pod; none when the pod.yaml names none.
    pub(super) fn program(&self, draft: &Draft) -> Option<Result<Program, program::Problem>> {
        let path = draft.executable()?;
        Some(match self.source.directory() {
            Some(directory) => Program::read(directory, path),
            None => Program::carried(self.source.file(path).ok(), path),
        })
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
}

fn config_hint(name: &VolumeName, pod: &names::PodName) -> String {
    if name.as_str().starts_with('_') {
        "configs whose names begin with `_` stay in the project: rename it, or mount it in development only".to_owned()
    } else {
        format!("make the directory, or import the pod's own: sns cluster importconfig {pod}")
    }
}
