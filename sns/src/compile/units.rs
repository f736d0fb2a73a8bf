//! A draft → a compiled pod: the plugin of the pod's kind resolves the units. Knows neither clusters nor
//! hosts, so a pod that is compiled for itself goes the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use names::{PodName, UnitName};
use podspec::{CompiledPod, Diagnostic, Draft, VolumeKind};
use simplenetes_plugin::CompileInput;

use super::has_mistakes;
use super::told::Told;
use crate::command_error::{CommandError, Kind};
use crate::plugins::LoadedPlugin;

/// Lets the plugin resolve the units of the draft, which has so many `errors` already: it is asked all the
/// same, so that its own are shown with them. `facts` are what it may know of the host; relative paths of
/// the host begin at `base`.
pub(super) fn resolve(
    draft: Draft,
    errors: usize,
    plugin: &LoadedPlugin,
    facts: BTreeMap<String, String>,
    base: Option<&Path>,
    told: &mut Told<'_>,
) -> Result<CompiledPod, CommandError> {
    let name = draft.pod_name().clone();
    let input = CompileInput {
        section: draft.section(),
        files: BTreeMap::new(),
        facts,
    };
    let output = match plugin.plugin.compile(input) {
        Ok(output) => output,
        // It was asked about a pod with gaps: the known mistakes are the ones to tell.
        Err(_) if errors > 0 => return Err(has_mistakes(&name, errors)),
        Err(error) => return Err(could_not_compile(plugin, &name).caused_by(error)),
    };
    let problems: Vec<Diagnostic> = output
        .diagnostics
        .iter()
        .map(|problem| {
            let (message, hint) = (problem.message.clone(), problem.hint.clone());
            draft.diagnostic(problem.severity, &problem.path, message, hint)
        })
        .collect();
    let errors = errors + told.show(&problems);
    if errors > 0 {
        return Err(has_mistakes(&name, errors));
    }
    let specs = unit_specs(output.specs, plugin)?;
    let units = specs.keys().cloned().collect::<BTreeSet<_>>();
    let mut pod = draft
        .resolve(Some(plugin.reference.clone()), specs)
        .map_err(|found| has_mistakes(&name, found.len()))?;
    check_all_resolved(&pod, &units, plugin)?;
    make_binds_absolute(&mut pod, base)?;
    Ok(pod)
}

/// A relative path of the host is relative to the pod's directory, for pods in development.
fn make_binds_absolute(pod: &mut CompiledPod, base: Option<&Path>) -> Result<(), CommandError> {
    for volume in &mut pod.volumes {
        if let VolumeKind::Host { bind } = &mut volume.kind
            && Path::new(bind.as_str()).is_relative()
        {
            let base = base.ok_or_else(|| {
                CommandError::mistake(format!(
                    "volume {} of a special pod has the relative path {bind}",
                    volume.name
                ))
            })?;
            *bind = base.join(without_dot(bind)).display().to_string();
        }
    }
    Ok(())
}

/// The path without a `./` at its beginning.
fn without_dot(path: &str) -> &str {
    path.strip_prefix("./")
        .map_or(path, |rest| rest.trim_start_matches('/'))
}

fn could_not_compile(plugin: &LoadedPlugin, pod: &PodName) -> CommandError {
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
