//! Runtime plugins as files: where first-party ones lie, what a host has, what it granted. The engine that
//! runs them is `simplenetes_plugin`'s.

mod component;
mod install;
mod loader;
mod user;

use std::fs;

use hostfiles::PluginEntry;

use crate::command_error::CommandError;
use crate::project::{Cluster, Host};

pub(crate) use component::{Component, FirstParty};
pub(crate) use install::{Asked, Installed, install};
pub(crate) use loader::{LoadedPlugin, PluginLoader};

/// The component of an entry of a host's plugins.yaml: it must be there and be the one that was granted.
pub(crate) fn of_entry(
    cluster: &Cluster<'_>,
    host: &Host,
    entry: &PluginEntry,
) -> Result<Component, CommandError> {
    let path = cluster.files.plugins_dir().join(entry.file_name());
    let again = format!(
        "bring it back from git, or install it again: sns plugin install {}@{}",
        entry.name, host.name
    );
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!(
                "host {} wants plugin {}, and there is no {}",
                host.name,
                entry.name,
                cluster.shown(&path)
            );
            return Err(CommandError::mistake(message).hint(again));
        }
        Err(error) => {
            return Err(CommandError::files(
                format!("could not read {}", path.display()),
                error,
            ));
        }
    };
    let component = Component::of(path, bytes)?;
    if component.digest.to_string() != entry.digest {
        return Err(CommandError::mistake(format!(
            "{} is not what host {} granted",
            cluster.shown(&component.path),
            host.name
        ))
        .hint(format!("granted: {}", entry.digest))
        .hint(format!("found:   {}", component.digest))
        .hint(again));
    }
    Ok(component)
}
