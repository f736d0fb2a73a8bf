//! One plugin component, and the places where those that come with Simplenetes lie.

use std::fs;
use std::path::{Path, PathBuf};

use hostfiles::PluginEntry;
use names::PodVersion;
use simplenetes_plugin::{Digest, Manifest};

use crate::command_error::{CommandError, Kind};
use crate::environment::Environment;
use crate::suggest::did_you_mean;

/// Where a distribution installs first-party plugins.
const SYSTEM_PLUGINS: &str = "/usr/lib/simplenetes/plugins";

/// A component file and what it says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    /// The file.
    pub(crate) path: PathBuf,
    /// Where it came from, for people.
    pub(crate) source: String,
    /// Its content.
    pub(crate) bytes: Vec<u8>,
    /// Its digest.
    pub(crate) digest: Digest,
    /// Its manifest.
    pub(crate) manifest: Manifest,
}

/// The plugins that come with Simplenetes.
#[derive(Debug, Default)]
pub(crate) struct FirstParty {
    /// One component of each plugin, sorted by id.
    pub(crate) components: Vec<Component>,
    /// Files that look like plugins and are none.
    pub(crate) broken: Vec<CommandError>,
    /// Where was looked.
    places: Vec<PathBuf>,
}

impl Component {
    /// Reads a component.
    pub(crate) fn read(path: &Path) -> Result<Self, CommandError> {
        let bytes = fs::read(path).map_err(|error| {
            CommandError::files(format!("could not read {}", path.display()), error)
        })?;
        Self::of(path.to_owned(), bytes)
    }

    /// A component that was read already.
    pub(crate) fn of(path: PathBuf, bytes: Vec<u8>) -> Result<Self, CommandError> {
        let manifest = Manifest::read(&bytes).map_err(|error| {
            CommandError::new(
                Kind::Mistake,
                format!("{} is not a plugin that can be used", path.display()),
            )
            .caused_by(error)
        })?;
        let source = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            digest: Digest::of(&bytes),
            path,
            source,
            bytes,
            manifest,
        })
    }

    /// Its entry in a plugins.yaml, with what it wishes for as what it may do.
    pub(crate) fn as_wished(&self) -> Result<PluginEntry, CommandError> {
        let grants = serde_json::to_value(&self.manifest.wishes).map_err(|error| {
            CommandError::new(
                Kind::Internal,
                format!("could not write the grants of plugin {}", self.name()),
            )
            .caused_by(error)
        })?;
        Ok(PluginEntry {
            name: self.manifest.id.clone(),
            version: self.manifest.version.clone(),
            digest: self.digest.to_string(),
            source: self.source.clone(),
            grants,
        })
    }

    /// Name and version for people.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.manifest.id, self.manifest.version)
    }

    /// The kinds of pod that it supplies.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        self.manifest
            .shapes
            .iter()
            .map(|shape| shape.kind.as_str())
            .collect()
    }
}

impl FirstParty {
    /// Looks for them in the directory that the environment names; when it names none, beside this program
    /// and in the system. What is found earlier wins; in one directory the highest version does.
    pub(crate) fn find(environment: &Environment) -> Self {
        let beside = environment
            .program_dir
            .as_ref()
            .map(|directory| directory.join("plugins"));
        let places = match &environment.plugins {
            Some(named) => vec![named.clone()],
            None => beside
                .into_iter()
                .chain([PathBuf::from(SYSTEM_PLUGINS)])
                .collect(),
        };
        let mut found = Self {
            places,
            ..Self::default()
        };
        for place in found.places.clone() {
            found.add_directory(&place);
        }
        found
            .components
            .sort_by(|a, b| a.manifest.id.cmp(&b.manifest.id));
        found
    }

    /// The plugin of that name.
    pub(crate) fn get(&self, name: &str) -> Result<&Component, CommandError> {
        let known = self
            .components
            .iter()
            .map(|component| component.manifest.id.as_str());
        self.components
            .iter()
            .find(|component| component.manifest.id == name)
            .ok_or_else(|| {
                CommandError::mistake(format!("there is no first-party plugin `{name}`"))
                    .hint_if(did_you_mean(name, known))
                    .hint("name the component of another plugin with --file=FILE.wasm")
                    .hint(self.looked())
            })
    }

    /// Where was looked, as a hint.
    pub(crate) fn looked(&self) -> String {
        let places: Vec<String> = self
            .places
            .iter()
            .map(|place| place.display().to_string())
            .collect();
        format!(
            "looked in {}; built components lie there after `cargo xtask plugins`",
            places.join(", ")
        )
    }

    fn add_directory(&mut self, directory: &Path) {
        let mut here: Vec<Component> = Vec::new();
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                match Component::read(&path) {
                    Ok(component) => here.push(Component {
                        source: "first-party".to_owned(),
                        ..component
                    }),
                    Err(error) => self.broken.push(error),
                }
            }
        }
        here.sort_by_key(|component| {
            std::cmp::Reverse(component.manifest.version.parse::<PodVersion>().ok())
        });
        for component in here {
            if !self
                .components
                .iter()
                .any(|known| known.manifest.id == component.manifest.id)
            {
                self.components.push(component);
            }
        }
    }
}
