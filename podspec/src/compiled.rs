//! The compiled pod: what `sns pod compile` writes, what a host runs and what a plugin is shown.
//!
//! Everything is resolved here: no variable, no default and no relative path is left. The text form is
//! deterministic, so equal pods have equal bytes and a commit shows only what changed. This module
//! knows the types and their text; where the text lies and who runs it is not its business.

mod expose;
mod headers;
mod limits;
mod probe;
mod restart;
mod volume;

use std::collections::BTreeMap;

use names::{PodName, PodVersion, ReleaseId, UnitName};
use serde::{Deserialize, Serialize};

pub(crate) use expose::MAX_CONN;
pub use expose::{Expose, IngressAction, IngressRule, Protocol, ProtocolError};
pub(crate) use headers::{ACCEPT, SEND};
pub use limits::Limits;
pub(crate) use limits::SIZE_UNITS;
pub(crate) use probe::TIMEOUT_SECONDS;
pub use probe::{Check, HttpCheck, Probe, StartupCheck, StartupProbe, TcpCheck};
pub use restart::{ReloadSignal, Restart, RestartError};
pub use volume::{Mount, Shared, Volume, VolumeKind};

/// The first line of every compiled pod: it makes the text a program that obeys the Pod API.
pub const FIRST_LINE: &str = "#!/usr/bin/env -S simplenetesd pod";

/// The format that this code writes, and the newest that it reads. It is raised with every change that
/// an older reader must not overlook; unknown keys are refused, so no change can be overlooked.
pub const FORMAT: u32 = 1;

/// Seconds that a unit gets to end after it was asked to, when its pod.yaml names no `stopTimeout`.
pub const STOP_GRACE_SECONDS: u32 = 10;

/// One resolved pod, for one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompiledPod {
    /// The format of this text, see [`FORMAT`].
    pub format: u32,
    /// The pod.
    pub pod: PodName,
    /// Its version.
    pub pod_version: PodVersion,
    /// The kind of the pod: `podman`, `native`, or what a plugin calls its kind.
    pub runtime: String,
    /// The plugin that resolved the units; none where no plugin took part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginRef>,
    /// Labels given by the author.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Volumes, in the author's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Units, in the author's order, which is the order in which they start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<Unit>,
}

/// The exact plugin that resolved a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginRef {
    /// The plugin's id, as its manifest has it.
    pub id: String,
    /// Its version, as its manifest has it.
    pub version: String,
    /// The SHA-256 of the component, in hexadecimal.
    pub digest: String,
}

/// One unit: a container, a process; the thing that starts, exits, is probed and signalled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unit {
    /// Its name, unique in the pod.
    pub name: UnitName,
    /// What happens when it has exited.
    #[serde(default)]
    pub restart: Restart,
    /// What is done to it when one of its configs has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<ReloadSignal>,
    /// Volumes that it sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// When it counts as started; without one it does so at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<StartupProbe>,
    /// When it may get traffic; without one it always may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// When it counts as alive; a unit that fails it is restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// Ports that are reachable from outside the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<Expose>,
    /// Seconds from the request to end until it is killed.
    #[serde(rename = "stopTimeout", default = "stop_grace_default")]
    pub stop_grace_seconds: u32,
    /// What it may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The kind's own part, resolved by its plugin; only the plugin knows what it means.
    #[serde(default)]
    pub spec: serde_json::Value,
}

fn stop_grace_default() -> u32 {
    STOP_GRACE_SECONDS
}

/// Why a text is not a compiled pod.
#[derive(Debug, thiserror::Error)]
pub enum CompiledError {
    /// The file is a program of its own, or something else altogether.
    #[error("the file is not a compiled pod: its first line is not `{FIRST_LINE}`")]
    Foreign,
    /// The file was written by a newer `sns`.
    #[error(
        "the compiled pod has format {found}, this program reads format {FORMAT}: install the version that wrote it"
    )]
    Format {
        /// The format that the file names.
        found: u32,
    },
    /// The text is damaged.
    #[error("the compiled pod cannot be read: compile it again")]
    Damaged(#[source] serde_yaml::Error),
    /// Two units have one name.
    #[error("the compiled pod has two units named `{0}`: compile it again")]
    DuplicateUnit(UnitName),
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl CompiledPod {
    /// Pod and version.
    #[must_use]
    pub fn release(&self) -> ReleaseId {
        ReleaseId {
            pod: self.pod.clone(),
            version: self.pod_version.clone(),
        }
    }

    /// The unit of that name.
    #[must_use]
    pub fn unit(&self, name: &UnitName) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.name == *name)
    }

    /// The text of the executable `pod` file: equal pods give equal bytes.
    ///
    /// # Errors
    /// Only for a `spec` that YAML cannot express; none that came out of JSON text is one.
    pub fn to_text(&self) -> Result<String, serde_yaml::SerializeError> {
        // Folded and literal blocks depend on widths and trailing blanks; quoted strings depend on nothing.
        let options = serde_yaml::ser_options! { prefer_block_scalars: false };
        Ok(format!(
            "{FIRST_LINE}\n{}",
            serde_yaml::to_string_with_options(self, options)?
        ))
    }

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// The text is foreign, newer than this code or damaged.
    pub fn from_text(text: &str) -> Result<Self, CompiledError> {
        let body = text
            .strip_prefix(FIRST_LINE)
            .ok_or(CompiledError::Foreign)?;
        let pod: Self = match serde_yaml::from_str(body) {
            Ok(pod) => pod,
            Err(error) => {
                // Of another format it may look quite different.
                let FormatOnly { format } =
                    serde_yaml::from_str(body).map_err(CompiledError::Damaged)?;
                if format == FORMAT {
                    return Err(CompiledError::Damaged(error));
                }
                return Err(CompiledError::Format { found: format });
            }
        };
        if pod.format != FORMAT {
            return Err(CompiledError::Format { found: pod.format });
        }
        for (index, unit) in pod.units.iter().enumerate() {
            if pod
                .units
                .iter()
                .take(index)
                .any(|other| other.name == unit.name)
            {
                return Err(CompiledError::DuplicateUnit(unit.name.clone()));
            }
        }
        Ok(pod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> CompiledPod {
        let text = include_str!("compiled/sample.txt");
        CompiledPod::from_text(text).unwrap()
    }

    #[test]
    fn the_kept_sample_is_read_and_written_back_to_the_byte() {
        assert_eq!(
            sample().to_text().unwrap(),
            include_str!("compiled/sample.txt")
        );
    }

    #[test]
    fn foreign_new_and_damaged_texts_are_told_apart() {
        assert!(matches!(
            CompiledPod::from_text("#!/bin/sh\n"),
            Err(CompiledError::Foreign)
        ));
        assert!(matches!(
            CompiledPod::from_text(""),
            Err(CompiledError::Foreign)
        ));
        let newer = sample()
            .to_text()
            .unwrap()
            .replace("format: 1", "format: 2\nnew: true");
        assert!(matches!(
            CompiledPod::from_text(&newer),
            Err(CompiledError::Format { found: 2 })
        ));
        let unknown = sample()
            .to_text()
            .unwrap()
            .replace("format: 1", "format: 1\nnew: true");
        assert!(matches!(
            CompiledPod::from_text(&unknown),
            Err(CompiledError::Damaged(_))
        ));
        let text = sample().to_text().unwrap();
        let (torn, _) = text.split_once("Seconds").unwrap();
        assert!(CompiledPod::from_text(torn).is_err(), "{torn}");
        let twice = text.replace("name: second", "name: main");
        assert!(matches!(
            CompiledPod::from_text(&twice),
            Err(CompiledError::DuplicateUnit(_))
        ));
    }

    #[test]
    fn strings_of_a_spec_stay_strings() {
        let mut pod = sample();
        let spec = serde_json::json!({ "args": ["1", "1e3", "0x10", "yes", "~", "null", "", " ", "a: b", "# c", "1.0.0",
            "back`tick", "$HOME", "two\nlines\n", "tab\t", "2024-01-01", "\u{1}\u{7f}\u{85}\u{feff}", "*x", "&y", "!z", "'", "\"", "0o7", ".inf", "-"],
            "n": [1, -1, 1.5, u64::MAX, true, null, [], {}] });
        pod.units[0].spec = spec.clone();
        let text = pod.to_text().unwrap();
        assert_eq!(
            CompiledPod::from_text(&text).unwrap().units[0].spec,
            spec,
            "{text}"
        );
    }
}
