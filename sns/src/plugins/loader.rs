//! The plugin of a kind, as a host has it, ready to be asked. Each is loaded once per run.

use std::rc::Rc;

use podspec::{PluginRef, Shape};
use simplenetes_plugin::{Engine, Helper, Plugin};

use super::install::grants_of;
use super::user::UserPlugins;
use super::{Component, of_entry};
use crate::command_error::{CommandError, Kind};
use crate::environment::Environment;
use crate::project::{Cluster, Host};
use crate::suggest::did_you_mean;
use crate::ui::Ui;

/// Loads plugins when they are needed.
pub(crate) struct PluginLoader<'a> {
    environment: &'a Environment,
    ui: &'a Ui,
    engine: Option<Engine>,
    /// What was loaded, with the entry of plugins.yaml that it was loaded for.
    loaded: Vec<(hostfiles::PluginEntry, Rc<Plugin>)>,
}

/// A plugin for one kind.
#[derive(Clone)]
pub(crate) struct LoadedPlugin {
    /// What can be asked.
    pub(crate) plugin: Rc<Plugin>,
    /// What a pod.yaml of the kind looks like.
    pub(crate) shape: Shape,
    /// What the compiled pod remembers of it.
    pub(crate) reference: PluginRef,
}

impl LoadedPlugin {
    /// Name and version for people.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.reference.id, self.reference.version)
    }
}

impl<'a> PluginLoader<'a> {
    /// Nothing is loaded yet.
    pub(crate) fn new(environment: &'a Environment, ui: &'a Ui) -> Self {
        Self {
            environment,
            ui,
            engine: None,
            loaded: Vec::new(),
        }
    }

    /// The plugin that a host has for a kind.
    pub(crate) fn for_kind(
        &mut self,
        cluster: &Cluster<'_>,
        host: &Host,
        kind: &str,
    ) -> Result<LoadedPlugin, CommandError> {
        let mut kinds = Vec::new();
        for entry in host.plugins()?.plugins {
            let component = of_entry(cluster, host, &entry)?;
            if component.manifest.shape(kind).is_some() {
                return self.of_component(kind, &entry, &component);
            }
            kinds.extend(component.kinds().into_iter().map(str::to_owned));
        }
        Err(CommandError::mistake(format!("host {} has no plugin for pods with `runtime: {kind}`", host.name))
            .hint_if(did_you_mean(kind, kinds.iter().map(String::as_str)))
            .hint(format!("`sns host init {0}` installs the first-party plugins, `sns plugin install PLUGIN@{0} --file=FILE` others", host.name)))
    }

    /// The plugin that a user has for a kind, for pods that belong to no host: the same as the daemon finds.
    pub(crate) fn of_user(&mut self, kind: &str) -> Result<LoadedPlugin, CommandError> {
        let plugins = UserPlugins::find(self.environment)?;
        let (entry, component) = plugins.for_kind(kind)?;
        self.of_component(kind, entry, component)
    }

    fn of_component(
        &mut self,
        kind: &str,
        entry: &hostfiles::PluginEntry,
        component: &Component,
    ) -> Result<LoadedPlugin, CommandError> {
        let shape = component.manifest.shape(kind).cloned().ok_or_else(|| {
            CommandError::new(
                Kind::Internal,
                format!("plugin {} has no kind `{kind}`", component.name()),
            )
        })?;
        Ok(LoadedPlugin {
            plugin: self.load(entry, &component.bytes)?,
            shape,
            reference: PluginRef {
                id: component.manifest.id.clone(),
                version: component.manifest.version.clone(),
                digest: component.digest.to_string(),
            },
        })
    }

    fn load(
        &mut self,
        entry: &hostfiles::PluginEntry,
        bytes: &[u8],
    ) -> Result<Rc<Plugin>, CommandError> {
        if let Some((_, plugin)) = self.loaded.iter().find(|(known, _)| known == entry) {
            return Ok(Rc::clone(plugin));
        }
        let grants = grants_of(entry)?;
        self.ui.note(&format!(
            "loading plugin {} {} …",
            entry.name, entry.version
        ));
        let cache = self.environment.plugin_cache()?;
        let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
            CommandError::new(
                Kind::Mistake,
                format!("could not load plugin {} {}", entry.name, entry.version),
            )
            .caused_by(error)
        };
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => Engine::new(&cache)
                .map_err(|error| unusable(error.into()))?
                .translating_by(Helper::this_program(&["translate"])),
        };
        let plugin = engine
            .load(bytes, grants)
            .map_err(|error| unusable(error.into()));
        self.engine = Some(engine);
        let plugin = Rc::new(plugin?);
        self.loaded.push((entry.clone(), Rc::clone(&plugin)));
        Ok(plugin)
    }
}
