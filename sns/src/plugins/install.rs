//! Putting a plugin on a host: the component into `_plugins/` of the project, the entry with the grants into
//! the host's plugins.yaml. The next sync carries both.

use std::fs;

use hostfiles::{Format as _, PluginEntry, PluginsYaml};
use simplenetes_plugin::{Digest, Grants};

use super::{Component, of_entry};
use crate::command_error::{CommandError, Kind};
use crate::project::{Cluster, Host};

/// Whether an upgrade may get more than its predecessor was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The operator has not agreed to more.
    NoMore,
    /// The operator has read the difference and agrees.
    Accepted,
}

/// What became of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Installed {
    /// The host had no plugin of that name; these are its grants, one line each.
    New(Vec<String>),
    /// The host had another version or build of it; these grants are new.
    Upgraded(Vec<String>),
    /// The host has exactly this one.
    Present,
}

/// Puts a component on some hosts. All checks come first, so a refusal changes nothing.
pub(crate) fn install(
    cluster: &Cluster<'_>,
    hosts: &[Host],
    component: &Component,
    asked: Asked,
) -> Result<Vec<Installed>, CommandError> {
    let mut changes = Vec::new();
    for host in hosts {
        let mut plugins = host.plugins()?;
        let what = change(&plugins, host, component, asked)?;
        check_kinds(cluster, host, &plugins, component)?;
        set_entry(&mut plugins, component)?;
        changes.push((host, plugins, what));
    }
    check_nobody_else_needs_the_file(cluster, hosts, component)?;
    place(cluster, component)?;
    let mut results = Vec::new();
    for (host, plugins, what) in changes {
        if what != Installed::Present {
            hostfiles::replace(
                &host.dir.plugins_yaml(),
                plugins.to_text().as_bytes(),
                0o644,
            )?;
        }
        results.push(what);
    }
    Ok(results)
}

/// What the installation changes for a host; refuses more rights that nobody has agreed to.
fn change(
    plugins: &PluginsYaml,
    host: &Host,
    component: &Component,
    asked: Asked,
) -> Result<Installed, CommandError> {
    let wishes = &component.manifest.wishes;
    let Some(entry) = plugins.get(&component.manifest.id) else {
        return Ok(Installed::New(wishes.lines()));
    };
    if entry.digest == component.digest.to_string() {
        return Ok(Installed::Present);
    }
    let more = wishes.beyond(&grants_of(entry)?);
    if more.is_empty() || asked == Asked::Accepted {
        return Ok(Installed::Upgraded(more));
    }
    let message = format!(
        "plugin {} asks for more on host {} than version {} was granted",
        component.name(),
        host.name,
        entry.version
    );
    Err(CommandError::refused(message)
        .listing(more)
        .hint("agree with --accept, or keep the present version"))
}

/// The grants of an entry, as the engine understands them.
pub(crate) fn grants_of(entry: &PluginEntry) -> Result<Grants, CommandError> {
    if entry.grants.is_null() {
        return Ok(Grants::default());
    }
    serde_json::from_value(entry.grants.clone()).map_err(|error| {
        CommandError::new(
            Kind::Diagnostics,
            format!(
                "could not understand the grants of plugin {} in plugins.yaml",
                entry.name
            ),
        )
        .caused_by(error)
    })
}

fn set_entry(plugins: &mut PluginsYaml, component: &Component) -> Result<(), CommandError> {
    let entry = component.as_wished()?;
    match plugins
        .plugins
        .iter_mut()
        .find(|present| present.name == entry.name)
    {
        Some(present) => *present = entry,
        None => plugins.plugins.push(entry),
    }
    Ok(())
}

/// Two plugins for one kind: which one would drive the pods?
fn check_kinds(
    cluster: &Cluster<'_>,
    host: &Host,
    plugins: &PluginsYaml,
    component: &Component,
) -> Result<(), CommandError> {
    for entry in plugins
        .plugins
        .iter()
        .filter(|entry| entry.name != component.manifest.id)
    {
        let Ok(other) = of_entry(cluster, host, entry) else {
            continue;
        };
        if let Some(kind) = other
            .kinds()
            .into_iter()
            .find(|kind| component.kinds().contains(kind))
        {
            return Err(CommandError::refused(format!(
                "host {} has plugin {} for pods of kind `{kind}` already, and {} supplies the same kind",
                host.name,
                other.name(),
                component.name()
            ))
            .hint(format!("remove the entry `{}` from {} first", entry.name, cluster.shown(&host.dir.plugins_yaml()))));
        }
    }
    Ok(())
}

/// One file name has one content: a host that granted another build of the same version would break.
fn check_nobody_else_needs_the_file(
    cluster: &Cluster<'_>,
    hosts: &[Host],
    component: &Component,
) -> Result<(), CommandError> {
    let digest = component.digest.to_string();
    for other in cluster.hosts()? {
        let is_changed_too = hosts.iter().any(|host| host.name == other.name);
        let entry = other.plugins()?.get(&component.manifest.id).cloned();
        if let Some(entry) = entry.filter(|entry| {
            !is_changed_too && entry.version == component.manifest.version && entry.digest != digest
        }) {
            return Err(CommandError::refused(format!(
                "host {} uses another build of plugin {} {}",
                other.name, entry.name, entry.version
            ))
            .hint(format!(
                "install it on all hosts at once: sns plugin install {}",
                entry.name
            )));
        }
    }
    Ok(())
}

fn place(cluster: &Cluster<'_>, component: &Component) -> Result<(), CommandError> {
    let directory = cluster.files.plugins_dir();
    fs::create_dir_all(&directory).map_err(|error| {
        CommandError::files(
            format!("could not make the directory {}", directory.display()),
            error,
        )
    })?;
    let file = directory.join(format!(
        "{}-{}.wasm",
        component.manifest.id, component.manifest.version
    ));
    let is_there = fs::read(&file).is_ok_and(|bytes| Digest::of(&bytes) == component.digest);
    if !is_there {
        hostfiles::replace(&file, &component.bytes, 0o644)?;
    }
    Ok(())
}
