//! `plugins.yaml`: the plugins of a host, the digest of each, where it came from, and what it may do.
//!
//! Written by `sns host init` and `sns plugin install` into the host's directory of the project,
//! carried to the host by a sync, read by the daemon. What a grant means is the plugin engine's to know:
//! here it is a tree that is kept as it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config_checksum::is_sha256;
use crate::{Format, FormatError};

/// The plugins of one host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginsYaml {
    /// One entry per plugin, in the order of the file; no name twice.
    #[serde(default)]
    pub plugins: Vec<PluginEntry>,
}

/// One plugin and what it may do on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginEntry {
    /// Its id, as in `native-runtime`: lower-case letters, digits and `-`.
    pub name: String,
    /// Its version, as in `0.1.0`.
    pub version: String,
    /// The SHA-256 of its component, in lower-case hexadecimal.
    pub digest: String,
    /// Where it came from, for people.
    #[serde(default)]
    pub source: String,
    /// What it may do. Empty means: nothing.
    #[serde(default)]
    pub grants: serde_json::Value,
}

impl PluginEntry {
    /// The name of the component's file in `_plugins/` of the project and `plugins/` of a host.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.wasm", self.name, self.version)
    }
}

impl PluginsYaml {
    /// The entry of a plugin.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&PluginEntry> {
        self.plugins.iter().find(|entry| entry.name == name)
    }
}

impl Format for PluginsYaml {
    const NAME: &'static str = "plugins.yaml";

    fn parse(text: &str) -> Result<Self, FormatError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let yaml: Self = serde_yaml::from_str(text).map_err(|error| {
            let line = error
                .location()
                .and_then(|location| usize::try_from(location.line()).ok());
            let found = error.without_snippet().to_string();
            FormatError {
                line,
                ..FormatError::whole::<Self>(
                    &found,
                    "plugins with name, version, digest, source and grants",
                )
            }
        })?;
        let mut names = BTreeSet::new();
        for entry in &yaml.plugins {
            check(entry)?;
            if !names.insert(entry.name.as_str()) {
                return Err(FormatError::whole::<Self>(&entry.name, "each plugin once"));
            }
        }
        Ok(yaml)
    }

    fn to_text(&self) -> String {
        // A tree of strings, numbers, lists and maps with string keys always has a text.
        serde_yaml::to_string(self).unwrap_or_default()
    }
}

/// Name and version become a file name, so they may hold nothing that leads elsewhere.
fn check(entry: &PluginEntry) -> Result<(), FormatError> {
    let name_fits = (1..=63).contains(&entry.name.len())
        && entry.name.starts_with(|c: char| c.is_ascii_lowercase())
        && entry
            .name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !name_fits {
        return Err(FormatError::whole::<PluginsYaml>(
            &entry.name,
            "a plugin name: lower-case letters, digits and `-`",
        ));
    }
    if let Err(error) = entry.version.parse::<names::PodVersion>() {
        return Err(FormatError::whole::<PluginsYaml>(
            &entry.version,
            error.to_string(),
        ));
    }
    if !is_sha256(&entry.digest) {
        let expected = format!(
            "the SHA-256 of plugin {}: 64 lower-case hexadecimal digits",
            entry.name
        );
        return Err(FormatError::whole::<PluginsYaml>(&entry.digest, expected));
    }
    Ok(())
}
