//! Input and output of a plugin's `compile`.

use std::collections::BTreeMap;

use podspec::Severity;

/// What `compile` is given.
#[derive(Debug, Clone, Default)]
pub struct CompileInput {
    /// The kind's part of the pod (`podspec::Draft::section`).
    pub section: serde_json::Value,
    /// Text files beside the pod.yaml that the manifest's shape allows, by relative path.
    pub files: BTreeMap<String, String>,
    /// Facts, as in [`crate::View::facts`].
    pub facts: BTreeMap<String, String>,
}

/// What `compile` brought.
#[derive(Debug, Clone, Default)]
pub struct CompileOutput {
    /// The resolved specification of each unit.
    pub specs: BTreeMap<String, serde_json::Value>,
    /// Problems and warnings. An error among them means that the pod is refused.
    pub diagnostics: Vec<PluginDiagnostic>,
}

/// A problem that a plugin found in its part of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDiagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Where in the section, for example `units[0].settings.command[1]`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}
