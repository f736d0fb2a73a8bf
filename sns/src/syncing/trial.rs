//! New plugins are tried before any host changes: a component that does not load on this machine would take
//! the pods of its kind down with the next start of the daemon.

use std::fs;

use simplenetes_plugin::{Engine, Helper};
use simplenetes_sync::far::Staged;

use super::Target;
use crate::command_error::{CommandError, Kind};
use crate::environment::Environment;
use crate::plugins::grants_of;

/// The engine, made when the first plugin needs it.
#[derive(Default)]
pub(super) struct Trial {
    engine: Option<Engine>,
}

impl Trial {
    /// Loads every component that arrives on a host, with what the host grants it.
    pub(super) fn of(
        &mut self,
        environment: &Environment,
        target: &Target,
        staged: &Staged<'_>,
    ) -> Result<(), CommandError> {
        for (file_name, path) in staged.plugins() {
            let refused = |error: Box<dyn std::error::Error + Send + Sync>| {
                let name = &target.host.name;
                let message = format!("plugin {file_name} for host {name} does not load");
                CommandError::new(Kind::Mistake, message)
                    .caused_by(error)
                    .hint("no host was changed; install another version with `sns plugin install`")
            };
            let plugins = target.host.plugins()?.plugins;
            let entry = plugins.iter().find(|entry| entry.file_name() == *file_name);
            let grants = entry.map(grants_of).transpose()?.unwrap_or_default();
            let bytes = fs::read(path).map_err(|error| refused(error.into()))?;
            let engine = match self.engine.take() {
                Some(engine) => engine,
                None => Engine::new(&environment.plugin_cache()?)
                    .map_err(|error| refused(error.into()))?
                    .translating_by(Helper::this_program(&["translate"])),
            };
            let loaded = engine.load(&bytes, grants).map(drop);
            self.engine = Some(engine);
            loaded.map_err(|error| refused(error.into()))?;
        }
        Ok(())
    }
}
