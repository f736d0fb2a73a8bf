//! The plugins of a user, for pods that belong to no host: those that his own `plugins.yaml` names, and the
//! first-party ones with what they wish for. The daemon finds the same ones when such a pod runs.

use std::fs;

use hostfiles::{HostHome, PluginEntry, PluginsYaml};

use super::{Component, FirstParty};
use crate::command_error::CommandError;
use crate::environment::Environment;
use crate::suggest::did_you_mean;

/// What a user has.
pub(super) struct UserPlugins {
    /// Where his own lie; none when there is no place for them.
    files: Option<HostHome>,
    first_party: FirstParty,
    entries: Vec<(PluginEntry, Component)>,
    /// Why those are missing that cannot be used.
    broken: Vec<CommandError>,
}

impl UserPlugins {
    /// Looks for them. One that cannot be used is only missing.
    pub(super) fn find(environment: &Environment) -> Result<Self, CommandError> {
        let mut found = Self {
            files: environment.user_files().map(HostHome::new),
            first_party: FirstParty::find(environment),
            entries: Vec::new(),
            broken: Vec::new(),
        };
        for entry in found.listed()?.plugins {
            match found.component(&entry) {
                Ok(component) => found.entries.push((entry, component)),
                Err(error) => found.broken.push(error),
            }
        }
        for component in &found.first_party.components {
            let id = &component.manifest.id;
            if !found.entries.iter().any(|(entry, _)| entry.name == *id) {
                let entry = component.as_wished()?;
                found.entries.push((entry, component.clone()));
            }
        }
        Ok(found)
    }

    /// The plugin for a kind of pod.
    pub(super) fn for_kind(&self, kind: &str) -> Result<&(PluginEntry, Component), CommandError> {
        let mut found = self
            .entries
            .iter()
            .filter(|(_, component)| component.manifest.shape(kind).is_some());
        match (found.next(), found.next()) {
            (None, _) => Err(self.no_plugin(kind)),
            (Some(one), None) => Ok(one),
            (Some((one, _)), Some((two, _))) => Err(CommandError::mistake(format!(
                "plugins {} and {} both supply pods with `runtime: {kind}`",
                one.name, two.name
            ))
            .hint(format!("remove one of them from {}", self.place()))),
        }
    }

    fn listed(&self) -> Result<PluginsYaml, CommandError> {
        let Some(files) = &self.files else {
            return Ok(PluginsYaml::default());
        };
        Ok(hostfiles::read_if_present(&files.plugins_yaml())?.unwrap_or_default())
    }

    /// The component of an entry: his own copy, otherwise the first-party one that is meant.
    fn component(&self, entry: &PluginEntry) -> Result<Component, CommandError> {
        let is_meant = |component: &Component| component.digest.to_string() == entry.digest;
        let own = self
            .files
            .as_ref()
            .map(|files| files.plugins_dir().join(entry.file_name()));
        if let Some(bytes) = own.as_ref().and_then(|path| fs::read(path).ok()) {
            let component = Component::of(own.unwrap_or_default(), bytes)?;
            return if is_meant(&component) {
                Ok(component)
            } else {
                Err(CommandError::mistake(format!(
                    "{} is not the plugin that plugins.yaml names",
                    component.path.display()
                ))
                .hint(format!("named: {}", entry.digest))
                .hint(format!("found: {}", component.digest)))
            };
        }
        let mut first_party = self.first_party.components.iter();
        first_party
            .find(|component| is_meant(component))
            .cloned()
            .ok_or_else(|| {
                CommandError::mistake(format!(
                    "plugin {} {} is named in {} and lies nowhere",
                    entry.name,
                    entry.version,
                    self.place()
                ))
            })
    }

    fn no_plugin(&self, kind: &str) -> CommandError {
        let kinds = self
            .entries
            .iter()
            .flat_map(|(_, component)| component.kinds());
        let broken = self.broken.iter().chain(&self.first_party.broken);
        CommandError::mistake(format!(
            "there is no plugin for pods with `runtime: {kind}`"
        ))
        .listing(broken.map(in_one_line))
        .hint_if(did_you_mean(kind, kinds))
        .hint(format!("name plugins of your own in {}", self.place()))
        .hint(self.first_party.looked())
    }

    fn place(&self) -> String {
        self.files.as_ref().map_or_else(
            || "~/.config/simplenetes/plugins.yaml".to_owned(),
            |files| files.plugins_yaml().display().to_string(),
        )
    }
}

/// What is wrong, and why; causes below that repeat it.
fn in_one_line(error: &CommandError) -> String {
    let mut chain = error.chain();
    chain.truncate(2);
    chain.join(": ")
}
