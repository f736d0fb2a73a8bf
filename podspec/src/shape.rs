//! What a kind of pod says about its own part of a pod.yaml.

use serde::{Deserialize, Serialize};

/// The shape of a kind: it comes from the manifest of the kind's plugin, so this crate knows no kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shape {
    /// What `runtime:` says, as in `podman` or `native`.
    pub kind: String,
    /// The key of the list of units: `containers`, `processes`; empty for a kind without units.
    pub units: String,
    /// The keys of a unit that belong to the kind. All other keys are either this crate's or a
    /// mistake.
    pub keys: Vec<String>,
    /// The types of volumes that the kind can mount.
    pub volume_types: Vec<String>,
    /// True when a unit listens on its host port itself, so that a cluster port without a host port
    /// leads nowhere. False when something else publishes the port for it.
    #[serde(default)]
    pub listens_on_host: bool,
    /// True when a unit finds each mount behind a link, so that no mount can lie in another one.
    #[serde(default)]
    pub links_mounts: bool,
    /// True when `limits` hold for its units: because they are started as processes, which the daemon limits,
    /// or because the plugin passes them on.
    #[serde(default)]
    pub takes_limits: bool,
}

impl Shape {
    /// The word for a pod that is a foreign program obeying the Pod API.
    pub const EXECUTABLE: &'static str = "executable";

    /// The shape of a foreign program: no units and no plugin.
    #[must_use]
    pub fn executable() -> Self {
        Self {
            kind: Self::EXECUTABLE.to_owned(),
            units: String::new(),
            keys: Vec::new(),
            volume_types: vec!["config".to_owned(), "ramdisk".to_owned()],
            listens_on_host: true,
            links_mounts: false,
            takes_limits: false,
        }
    }
}
