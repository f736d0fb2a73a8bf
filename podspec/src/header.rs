//! The few lines of a pod.yaml that must be known before the rest can be read: they name the plugin
//! and the version.

use names::PodVersion;

use crate::Diagnostic;

/// What stands at the top of a pod.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The version of the format.
    pub api: String,
    /// The kind of the pod; `podman` when the text does not say.
    pub runtime: String,
    /// The version of the pod. It is always literal.
    pub pod_version: PodVersion,
}

/// Reads the header, also from a text whose variables are not replaced yet.
///
/// # Errors
/// A line is missing, stands twice or has a bad value.
pub fn header(_text: &str) -> Result<Header, Vec<Diagnostic>> {
    Err(Vec::new())
}
