//! A pod that was read as far as it could be, and waits for its plugin to say what it finds.
//!
//! It is there also when the text has mistakes, so that the plugin can add its own to the list; only
//! a sound one can be resolved.

use std::collections::{BTreeMap, BTreeSet};

use names::{PodName, UnitName, VolumeName};
use serde_json::{Value as Json, json};

use crate::diagnostic::{is_harmless, sort};
use crate::encrypted::scalar;
use crate::read::{self, Settings};
use crate::tree::{self, Content, Node};
use crate::{
    CompiledPod, Diagnostic, Expose, PluginRef, Preprocessed, Severity, Shape, Volume, VolumeKind,
};

/// A pod of which only the kind's own part is missing.
#[derive(Debug, Clone)]
pub struct Draft {
    pod: CompiledPod,
    settings: Vec<Settings>,
    executable: Option<String>,
    exposes: Vec<Expose>,
    unread: BTreeSet<VolumeName>,
    diagnostics: Vec<Diagnostic>,
    /// The key of the list of units, and the tree they were read from, to find places in.
    units: String,
    root: Node,
}

/// Reads a pod.yaml. What is wrong with it is in [`Draft::diagnostics`], with everything that the
/// preprocessor found.
///
/// # Errors
/// The text is no YAML, no map, or has no version: there is nothing that a plugin could be asked. All
/// problems at once, in the order of the text, each of them once.
pub fn parse(
    source: &Preprocessed,
    name: &PodName,
    shape: &Shape,
) -> Result<Draft, Vec<Diagnostic>> {
    let mut problems = source.diagnostics.clone();
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
    let Some(reading) = reading else {
        return Err(problems);
    };
    Ok(Draft {
        pod: reading.pod,
        settings: reading.settings,
        executable: reading.executable,
        exposes: reading.exposes,
        unread: reading.unread,
        diagnostics: problems,
        units: shape.units.clone(),
        root,
    })
}

impl Draft {
    /// What the kind's plugin is asked to resolve: pod, version, labels, volumes, and for each unit its
    /// name, mounts, exposed ports and `settings`, the kind's own keys as plain JSON.
    #[must_use]
    pub fn section(&self) -> Json {
        let units = self.pod.units.iter().zip(&self.settings).map(|(unit, settings)| {
            json!({ "name": unit.name, "settings": settings.own, "mounts": unit.mounts, "expose": unit.expose })
        });
        json!({
            "pod": self.pod.pod,
            "version": self.pod.pod_version,
            "labels": self.pod.labels,
            "volumes": self.pod.volumes,
            "units": units.collect::<Vec<_>>(),
        })
    }

    /// All that was found, in the order of the text.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// True when nothing that was found prevents compiling.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        is_harmless(&self.diagnostics)
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
        let rest = self.renumbered(&rest).unwrap_or(rest);
        format!("{}{rest}", self.units)
    }

    /// `[0].command` with the number that the unit has in the text: what is no unit at all is not in
    /// the section.
    fn renumbered(&self, path: &str) -> Option<String> {
        let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
        let settings = self.settings.get(index.parse::<usize>().ok()?)?;
        Some(format!("[{}]{rest}", settings.index))
    }

    /// Config volumes: each must exist as a directory `config/NAME`. One with a mistake may be no config.
    #[must_use]
    pub fn configs(&self) -> Vec<VolumeName> {
        let configs = self
            .pod
            .volumes
            .iter()
            .filter(|volume| matches!(volume.kind, VolumeKind::Config { .. }))
            .filter(|volume| !self.unread.contains(&volume.name));
        configs.map(|volume| volume.name.clone()).collect()
    }

    /// The path of a volume in the text, for [`Self::diagnostic`].
    #[must_use]
    pub fn volume_path(&self, name: &VolumeName) -> String {
        let volumes = self.root.get("volumes").map(|node| &node.content);
        let place = match volumes {
            Some(Content::List(volumes)) => volumes
                .iter()
                .position(|volume| scalar(volume, "name") == Some(name.as_str())),
            _ => None,
        };
        place.map_or_else(
            || "volumes".to_owned(),
            |place| format!("volumes[{place}].name"),
        )
    }

    /// The name of the pod.
    #[must_use]
    pub fn pod_name(&self) -> &PodName {
        &self.pod.pod
    }

    /// The configs among them whose files are encrypted.
    pub fn encrypted_configs(&self) -> impl Iterator<Item = &VolumeName> {
        let is_encrypted =
            |volume: &&Volume| matches!(volume.kind, VolumeKind::Config { encrypted: true });
        let volumes = self.pod.volumes.iter().filter(is_encrypted);
        volumes.map(|volume| &volume.name)
    }

    /// The names of its ramdisks.
    pub fn ramdisks(&self) -> impl Iterator<Item = &str> {
        let is_ramdisk = |volume: &&Volume| matches!(volume.kind, VolumeKind::Ramdisk { .. });
        self.pod
            .volumes
            .iter()
            .filter(is_ramdisk)
            .map(|volume| volume.name.as_str())
    }

    /// The ports of the program that is the pod; only for `runtime: executable`.
    #[must_use]
    pub fn exposes(&self) -> &[Expose] {
        &self.exposes
    }

    /// The program that is the pod, relative to the pod.yaml; only for `runtime: executable`.
    #[must_use]
    pub fn executable(&self) -> Option<&str> {
        self.executable.as_deref()
    }

    /// The compiled pod: each unit gets the spec that its plugin answered with, `null` where there is
    /// none.
    ///
    /// # Errors
    /// The draft is not sound; all that was found comes back.
    pub fn resolve(
        self,
        plugin: Option<PluginRef>,
        mut specs: BTreeMap<UnitName, Json>,
    ) -> Result<CompiledPod, Vec<Diagnostic>> {
        if !self.is_sound() {
            return Err(self.diagnostics);
        }
        let mut pod = CompiledPod { plugin, ..self.pod };
        for unit in &mut pod.units {
            unit.spec = specs.remove(&unit.name).unwrap_or_default();
        }
        Ok(pod)
    }
}
