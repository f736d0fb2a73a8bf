//! The plugins of a host: which kinds of pods it can run, read from `plugins.yaml` and the components
//! beside it.
//!
//! What cannot be loaded is a problem of the pods of that kind alone. A kind that could be served before
//! stays served by the version that could, until a new one is accepted. Nothing is translated on the way:
//! that is handed out, to be done where nobody waits for it.

mod kinds;
mod translation;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hostfiles::{HostHome, PluginEntry, PluginsYaml, ReadError, read_if_present};
use simplenetes_plugin::{Digest, Engine, Grants, LoadError, Manifest};

use crate::log::one_line;

pub use kinds::{Kind, Kinds};
use translation::{Failures, Key, explain};
pub use translation::{Translated, Translation};

/// Why a plugin is not in service.
#[derive(Debug, thiserror::Error)]
enum PluginProblem {
    #[error("plugin {0} is not on this host: sync again")]
    Missing(String),
    #[error("cannot read {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{} is not the plugin that plugins.yaml names: its SHA-256 is {found}, expected {expected}; install the plugin again and sync", .path.display())]
    Digest {
        path: PathBuf,
        found: String,
        expected: String,
    },
    #[error("the grants of plugin {0} in plugins.yaml cannot be read")]
    Grants(String, #[source] serde_json::Error),
    #[error("cannot load plugin {0}")]
    Load(String, #[source] Box<LoadError>),
    #[error(
        "plugins {0} and {1} both want to run pods of the kind `{2}`: remove one from plugins.yaml"
    )]
    Twice(String, String, String),
}

/// Loads the plugins of one host.
pub struct Plugins {
    home: HostHome,
    engine: Engine,
    /// Directories in which first-party components lie beside the programs.
    beside: Vec<PathBuf>,
    /// True when those components are in service with what they wish for, unless the list names others.
    trusts_beside: bool,
    /// What was loaded.
    loaded: BTreeMap<Key, Arc<simplenetes_plugin::Plugin>>,
    failures: Failures,
    /// What has to be translated before it can be loaded.
    translations: Vec<Translation>,
    current: Kinds,
}

/// What became of one plugin that `plugins.yaml` names.
enum Entry {
    Ready(Arc<simplenetes_plugin::Plugin>),
    /// It supplies these kinds as soon as it is translated.
    Coming(Vec<String>),
}

impl Entry {
    /// The kinds that it supplies, now or soon.
    fn kinds(&self) -> Vec<String> {
        match self {
            Self::Ready(plugin) => plugin.manifest().kinds(),
            Self::Coming(kinds) => kinds.clone(),
        }
    }
}

impl Plugins {
    /// Nothing is loaded yet.
    #[must_use]
    pub fn new(home: HostHome, engine: Engine, beside: Vec<PathBuf>) -> Self {
        Self {
            home,
            engine,
            beside,
            trusts_beside: false,
            loaded: BTreeMap::new(),
            failures: Failures::default(),
            translations: Vec::new(),
            current: Kinds::default(),
        }
    }

    /// The plugins of a pod that belongs to no host: those in the user's own directory, which has the
    /// layout of a host home, and the first-party ones with what they wish for.
    #[must_use]
    pub fn of_user(own: HostHome, engine: Engine, beside: Vec<PathBuf>) -> Self {
        Self {
            trusts_beside: true,
            ..Self::new(own, engine, beside)
        }
    }

    /// As [`Self::load`], for those who can wait: also translates, which blocks for seconds.
    pub fn load_all(&mut self, now_ms: u64) -> Kinds {
        loop {
            let kinds = self.load(now_ms);
            let Some(translation) = self.next_translation() else {
                return kinds;
            };
            self.take(translation.run(), now_ms);
        }
    }

    /// Reads `plugins.yaml` and loads what it names and is translated already. What was in service stays
    /// so where the new one cannot be, or is not yet.
    pub fn load(&mut self, now_ms: u64) -> Kinds {
        self.translations.clear();
        let listed = match self.listed() {
            Ok(listed) => listed,
            Err(error) => {
                let problem = one_line(&error);
                for kind in self.current.kinds.values_mut() {
                    kind.problem = Some(problem.clone());
                }
                self.current.problems = vec![problem];
                return self.current.clone();
            }
        };
        self.forget_unlisted(&listed);
        let mut next = Kinds::default();
        let mut failed: BTreeMap<String, String> = BTreeMap::new();
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for entry in &listed.plugins {
            match self.load_entry(entry, now_ms) {
                Ok(loaded) => {
                    for name in loaded.kinds() {
                        let kind = match owners.insert(name.clone(), entry.name.clone()) {
                            Some(other) => self.contested(&name, &listed, other, entry),
                            None => self.kind(&name, entry, &loaded),
                        };
                        next.kinds.insert(name, kind);
                    }
                }
                Err(problem) => {
                    failed.insert(entry.name.clone(), problem.clone());
                    next.problems.push(problem);
                }
            }
        }
        self.keep_in_service(&mut next, &failed);
        self.current = next;
        self.current.clone()
    }

    /// What should be translated next; [`Self::load`] says it anew each time.
    pub fn next_translation(&mut self) -> Option<Translation> {
        self.translations.pop()
    }

    /// Takes over what came out of a translation: the next [`Self::load`] knows it.
    pub fn take(&mut self, translated: Translated, now_ms: u64) {
        match translated.outcome {
            Ok(plugin) => {
                self.failures.retain(|key| *key != translated.key);
                self.loaded.insert(translated.key, Arc::new(plugin));
            }
            Err(problem) => self.failures.add(translated.key, problem, now_ms),
        }
    }

    /// When to load again because a plugin that could not be translated has rested.
    #[must_use]
    pub fn retry_at_ms(&self, now_ms: u64) -> Option<u64> {
        self.failures.next_ms(now_ms)
    }

    fn forget_unlisted(&mut self, listed: &PluginsYaml) {
        let keys: Vec<Key> = listed.plugins.iter().map(key).collect();
        self.loaded.retain(|key, _| keys.contains(key));
        self.failures.retain(|key| keys.contains(key));
    }

    fn kind(&self, name: &str, entry: &PluginEntry, loaded: &Entry) -> Kind {
        let plugin = entry.name.clone();
        match loaded {
            Entry::Ready(ready) => Kind {
                runtime: Some(Arc::<simplenetes_plugin::Plugin>::clone(ready)),
                problem: None,
                plugin,
                is_coming: false,
            },
            Entry::Coming(_) => {
                let own = self.current.kinds.get(name);
                let own = own.filter(|old| old.plugin == plugin);
                Kind {
                    runtime: own.and_then(|old| old.runtime.clone()),
                    problem: Some(format!(
                        "plugin {plugin} {} is translated for this machine, which takes seconds",
                        entry.version
                    )),
                    plugin,
                    is_coming: true,
                }
            }
        }
    }

    fn listed(&self) -> Result<PluginsYaml, ReadError> {
        let mut listed: PluginsYaml =
            read_if_present(&self.home.plugins_yaml())?.unwrap_or_default();
        if self.trusts_beside {
            let components = self.beside.iter().flat_map(|path| components(path));
            for entry in components.filter_map(|path| first_party(&path)) {
                if !listed.plugins.iter().any(|known| known.name == entry.name) {
                    listed.plugins.push(entry);
                }
            }
        }
        Ok(listed)
    }

    /// A kind that is not served any more because its own plugin has a problem goes on with the old one. A
    /// kind whose plugin was taken out of the list on purpose does not.
    fn keep_in_service(&self, next: &mut Kinds, failed: &BTreeMap<String, String>) {
        for (name, old) in &self.current.kinds {
            if let (Some(_), Some(problem)) = (&old.runtime, failed.get(&old.plugin))
                && !next.kinds.contains_key(name)
            {
                let kept = Kind {
                    problem: Some(problem.clone()),
                    ..old.clone()
                };
                next.kinds.insert(name.clone(), kept);
            }
        }
    }

    /// A kind that two plugins want stays with the one that has it, if that is still in the list.
    fn contested(&self, kind: &str, listed: &PluginsYaml, one: String, two: &PluginEntry) -> Kind {
        let is_listed = |old: &&Kind| listed.plugins.iter().any(|entry| entry.name == old.plugin);
        let old = self.current.kinds.get(kind).filter(is_listed);
        let twice = PluginProblem::Twice(one, two.name.clone(), kind.to_owned());
        Kind {
            runtime: old.and_then(|old| old.runtime.clone()),
            problem: Some(twice.to_string()),
            plugin: old.map(|old| old.plugin.clone()).unwrap_or_default(),
            is_coming: false,
        }
    }

    fn load_entry(&mut self, entry: &PluginEntry, now_ms: u64) -> Result<Entry, String> {
        let name = format!("{} {}", entry.name, entry.version);
        let key = key(entry);
        if let Some(plugin) = self.loaded.get(&key) {
            return Ok(Entry::Ready(Arc::clone(plugin)));
        }
        let grants =
            grants(entry).map_err(|error| one_line(&PluginProblem::Grants(name.clone(), error)))?;
        let component = self.find(entry).map_err(|problem| one_line(&problem))?;
        if let Some(problem) = self.failures.rests(&key, now_ms) {
            return Err(problem);
        }
        let kept = self.engine.load_kept(&component, grants.clone());
        if let Some(plugin) = kept.map_err(|error| explain(name.clone(), error))? {
            let plugin = Arc::new(plugin);
            self.loaded.insert(key, Arc::clone(&plugin));
            return Ok(Entry::Ready(plugin));
        }
        let manifest = Manifest::read(&component)
            .map_err(|error| explain(name.clone(), LoadError::Manifest(error)))?;
        self.translations.push(Translation {
            key,
            name,
            component,
            grants,
            engine: self.engine.clone(),
        });
        Ok(Entry::Coming(manifest.kinds()))
    }

    /// The component: the host's own copy, which must be the one that is named; otherwise one beside the
    /// programs, if it is the one that is named.
    fn find(&self, entry: &PluginEntry) -> Result<Vec<u8>, PluginProblem> {
        let own = self.home.plugins_dir().join(entry.file_name());
        match fs::read(&own) {
            Ok(component) => {
                let found = digest(&component);
                if found == entry.digest {
                    return Ok(component);
                }
                return Err(PluginProblem::Digest {
                    path: own,
                    found,
                    expected: entry.digest.clone(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(PluginProblem::Unreadable(own, error)),
        }
        let mut candidates = self
            .beside
            .iter()
            .flat_map(|directory| components(directory));
        let found = candidates.find_map(|path| {
            fs::read(path)
                .ok()
                .filter(|component| digest(component) == entry.digest)
        });
        found.ok_or_else(|| PluginProblem::Missing(format!("{} {}", entry.name, entry.version)))
    }
}

/// A component beside the programs with all that it wishes for; none when it is no plugin.
fn first_party(path: &Path) -> Option<PluginEntry> {
    let component = fs::read(path).ok()?;
    let manifest = Manifest::read(&component).ok()?;
    Some(PluginEntry {
        grants: serde_json::to_value(&manifest.wishes).ok()?,
        digest: digest(&component),
        source: "first-party".into(),
        name: manifest.id,
        version: manifest.version,
    })
}

fn key(entry: &PluginEntry) -> Key {
    (entry.digest.clone(), entry.grants.to_string())
}

/// No grants at all means that nothing is allowed.
fn grants(entry: &PluginEntry) -> Result<Grants, serde_json::Error> {
    if entry.grants.is_null() {
        Ok(Grants::default())
    } else {
        serde_json::from_value(entry.grants.clone())
    }
}

fn digest(component: &[u8]) -> String {
    Digest::of(component).to_string()
}

fn components(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "wasm"))
        .collect()
}

/// Where first-party components lie: in the directory that `SIMPLENETES_PLUGINS` names, otherwise beside
/// the programs and in the system.
#[must_use]
pub fn directories(executable: &Path, variable: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(only) = variable {
        return vec![only];
    }
    let beside = executable
        .parent()
        .map(|directory| directory.join("plugins"));
    beside
        .into_iter()
        .chain([PathBuf::from("/usr/lib/simplenetes/plugins")])
        .collect()
}

#[cfg(test)]
mod tests;
