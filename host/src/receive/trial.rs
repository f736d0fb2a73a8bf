//! Plugins are tried before anything changes: a component that does not load on this machine would take the pods of
//! its kind down with the next start of the daemon.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hostfiles::{Format as _, FormatError, PluginsYaml};
use simplenetes_plugin::{Digest, Engine, Grants, Helper, LoadError};

/// Why a plugin cannot be in service here.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrialError {
    #[error("plugins.yaml cannot be read, so nobody knows what plugins may do")]
    PluginsYaml(#[from] FormatError),
    #[error("the grants of plugin {0} in plugins.yaml cannot be read")]
    Grants(String, #[source] serde_json::Error),
    #[error("plugin {0} is not the component that plugins.yaml grants: install it again")]
    Digest(String),
    #[error("cannot read plugin {0}")]
    Read(String, #[source] io::Error),
    #[error("plugin {0} does not load")]
    Load(String, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Loads every component that arrives, with what the host grants it.
pub(super) fn load_all(
    cache: &Path,
    arriving: &BTreeMap<String, PathBuf>,
    plugins_yaml: &str,
) -> Result<(), TrialError> {
    let granted = PluginsYaml::parse(plugins_yaml)?;
    let engine = Engine::new(cache).map_err(|error| failed("", error))?;
    let engine = engine.translating_by(Helper::this_program(&["translate"]));
    for (file_name, path) in arriving {
        let bytes = fs::read(path).map_err(|error| TrialError::Read(file_name.clone(), error))?;
        let entry = granted
            .plugins
            .iter()
            .find(|entry| entry.file_name() == *file_name);
        if entry.is_some_and(|entry| entry.digest != Digest::of(&bytes).to_string()) {
            return Err(TrialError::Digest(file_name.clone()));
        }
        let grants = match entry.map(|entry| &entry.grants) {
            Some(grants) if !grants.is_null() => serde_json::from_value(grants.clone())
                .map_err(|error| TrialError::Grants(file_name.clone(), error))?,
            _ => Grants::default(),
        };
        let loaded: Result<_, LoadError> = engine.load(&bytes, grants);
        loaded.map_err(|error| failed(file_name, error))?;
    }
    Ok(())
}

fn failed(
    file_name: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> TrialError {
    TrialError::Load(file_name.to_owned(), error.into())
}
