//! A pod that was read without errors and waits for its plugin to resolve the units.

use std::collections::BTreeMap;

use names::{PodName, UnitName, VolumeName};

use crate::{CompiledPod, Diagnostic, PluginRef, Preprocessed, Severity, Shape};

/// A pod of which only the kind's own part is missing.
#[derive(Debug, Clone)]
pub struct Draft {
    pod: CompiledPod,
    warnings: Vec<Diagnostic>,
}

/// Reads a pod.yaml.
///
/// # Errors
/// All problems of the text at once.
pub fn parse(
    _source: &Preprocessed,
    _name: &PodName,
    _shape: &Shape,
) -> Result<Draft, Vec<Diagnostic>> {
    Err(Vec::new())
}

impl Draft {
    /// What the kind's plugin is asked to resolve.
    #[must_use]
    pub fn section(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Problems that do not prevent compiling.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Turns a path of a plugin's diagnostic (`units[0].command[1]`) into one with a place.
    #[must_use]
    pub fn diagnostic(
        &self,
        severity: Severity,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            ..Diagnostic::error(path, message).hinting(hint)
        }
    }

    /// Config volumes: each must exist as a directory `config/NAME`.
    #[must_use]
    pub fn configs(&self) -> Vec<VolumeName> {
        Vec::new()
    }

    /// The program that is the pod, relative to the pod.yaml; only for `runtime: executable`.
    #[must_use]
    pub fn executable(&self) -> Option<&str> {
        None
    }

    /// The compiled pod: each unit gets the spec that its plugin answered with.
    #[must_use]
    pub fn resolve(
        self,
        plugin: Option<PluginRef>,
        _specs: BTreeMap<UnitName, serde_json::Value>,
    ) -> CompiledPod {
        CompiledPod { plugin, ..self.pod }
    }
}
