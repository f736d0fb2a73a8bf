//! A pod that was read without errors and waits for its plugin to resolve the units.

use std::collections::BTreeMap;

use names::{PodName, UnitName, VolumeName};
use serde_json::{Map, Value as Json, json};

use crate::diagnostic::{is_harmless, sort};
use crate::read::{self, Reading};
use crate::tree::{self, Node};
use crate::{CompiledPod, Diagnostic, PluginRef, Preprocessed, Severity, Shape, VolumeKind};

/// A pod of which only the kind's own part is missing.
#[derive(Debug, Clone)]
pub struct Draft {
    pod: CompiledPod,
    settings: Vec<Map<String, Json>>,
    executable: Option<String>,
    warnings: Vec<Diagnostic>,
    /// The key of the list of units, and the tree they were read from, to find places in.
    units: String,
    root: Node,
}

/// Reads a pod.yaml.
///
/// # Errors
/// All problems of the text at once, in its order, warnings included. Errors of the preprocessor are
/// among them, so a text with an open directive is never compiled; its warnings stay with it.
pub fn parse(
    source: &Preprocessed,
    name: &PodName,
    shape: &Shape,
) -> Result<Draft, Vec<Diagnostic>> {
    let found_before = source.diagnostics.iter();
    let mut problems: Vec<Diagnostic> = found_before
        .filter(|problem| problem.severity == Severity::Error)
        .cloned()
        .collect();
    let root = match tree::parse(&source.text, &|place| source.origin(place)) {
        Ok(root) => root,
        Err(found) => {
            problems.extend(found);
            sort(&mut problems);
            return Err(problems);
        }
    };
    let reading = read::pod(&root, name, shape, &mut problems);
    sort(&mut problems);
    match reading {
        Some(Reading {
            pod,
            settings,
            executable,
        }) if is_harmless(&problems) => {
            let units = shape.units.clone();
            Ok(Draft {
                pod,
                settings,
                executable,
                warnings: problems,
                units,
                root,
            })
        }
        _ => Err(problems),
    }
}

impl Draft {
    /// What the kind's plugin is asked to resolve: pod, version, labels, volumes, and for each unit its
    /// name, mounts, exposed ports and `settings`, the kind's own keys as plain JSON.
    #[must_use]
    pub fn section(&self) -> Json {
        let units = self.pod.units.iter().zip(&self.settings).map(|(unit, settings)| {
            json!({ "name": unit.name, "settings": settings, "mounts": unit.mounts, "expose": unit.expose })
        });
        json!({
            "pod": self.pod.pod,
            "version": self.pod.pod_version,
            "labels": self.pod.labels,
            "volumes": self.pod.volumes,
            "units": units.collect::<Vec<_>>(),
        })
    }

    /// Problems that do not prevent compiling.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Gives a plugin's finding its place. The path is that of [`Self::section`]
    /// (`units[0].settings.command[1]`, `settings` may be left out); a path that leads to nothing gets
    /// the place of its nearest ancestor.
    #[must_use]
    pub fn diagnostic(
        &self,
        severity: Severity,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        let path = self.source_path(path);
        let place = self.root.place_of(&path);
        Diagnostic {
            severity,
            ..Diagnostic::error(path, message)
                .at(Some(place))
                .hinting(hint)
        }
    }

    fn source_path(&self, path: &str) -> String {
        let Some(rest) = path
            .strip_prefix("units")
            .filter(|rest| rest.is_empty() || rest.starts_with('['))
        else {
            return path.to_owned();
        };
        let rest = rest.replacen("].settings.", "].", 1);
        let rest = rest
            .strip_suffix("].settings")
            .map(|start| format!("{start}]"))
            .unwrap_or(rest);
        format!("{}{rest}", self.units)
    }

    /// Config volumes: each must exist as a directory `config/NAME`.
    #[must_use]
    pub fn configs(&self) -> Vec<VolumeName> {
        let configs = self
            .pod
            .volumes
            .iter()
            .filter(|volume| matches!(volume.kind, VolumeKind::Config { .. }));
        configs.map(|volume| volume.name.clone()).collect()
    }

    /// The program that is the pod, relative to the pod.yaml; only for `runtime: executable`.
    #[must_use]
    pub fn executable(&self) -> Option<&str> {
        self.executable.as_deref()
    }

    /// The compiled pod: each unit gets the spec that its plugin answered with, `null` where there is
    /// none.
    #[must_use]
    pub fn resolve(
        self,
        plugin: Option<PluginRef>,
        mut specs: BTreeMap<UnitName, Json>,
    ) -> CompiledPod {
        let mut pod = CompiledPod { plugin, ..self.pod };
        for unit in &mut pod.units {
            unit.spec = specs.remove(&unit.name).unwrap_or_default();
        }
        pod
    }
}
