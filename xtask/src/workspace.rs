//! Where the sources and the built things of this workspace lie, as Cargo itself says it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::program::Program;

/// The workspace: its root, its target directory and its packages.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The directory with the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, wherever the environment has put it.
    pub(crate) target: PathBuf,
    /// All packages, sorted by name.
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// The name in its manifest.
    pub(crate) name: String,
    /// The version in its manifest.
    pub(crate) version: String,
    /// Its directory, relative to the workspace.
    pub(crate) folder: PathBuf,
}

impl Workspace {
    /// Asks `cargo metadata`.
    ///
    /// The checkout is the one in which cargo has started this program. What was known when it was built may be
    /// another one, where several share a target directory.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let text = Program::cargo()
            .args([
                "metadata",
                "--no-deps",
                "--format-version",
                "1",
                "--offline",
            ])
            .arg("--manifest-path")
            .arg(Path::new(&manifest).join("Cargo.toml"))
            .output()?;
        let metadata: Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
        Self::from_metadata(&metadata).context("cargo metadata lacks an expected field")
    }

    fn from_metadata(metadata: &Value) -> Option<Self> {
        let root = PathBuf::from(metadata.get("workspace_root")?.as_str()?);
        let target = PathBuf::from(metadata.get("target_directory")?.as_str()?);
        let listed = metadata.get("packages")?.as_array()?;
        let mut packages = listed
            .iter()
            .map(|one| package(one, &root))
            .collect::<Option<Vec<_>>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Some(Self {
            root,
            target,
            packages,
        })
    }

    /// The directory into which a profile's programs are built.
    pub(crate) fn programs(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.folder())
    }
}

fn package(metadata: &Value, root: &Path) -> Option<Package> {
    let manifest = Path::new(metadata.get("manifest_path")?.as_str()?);
    Some(Package {
        name: metadata.get("name")?.as_str()?.to_owned(),
        version: metadata.get("version")?.as_str()?.to_owned(),
        folder: manifest.parent()?.strip_prefix(root).ok()?.to_owned(),
    })
}

/// Cargo's two profiles, as far as xtask uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// What `cargo build` makes.
    Debug,
    /// What `cargo build --release` makes.
    Release,
}

impl Profile {
    /// The name of the folder below the target directory.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_gives_names_versions_and_folders() {
        let metadata = serde_json::json!({
            "workspace_root": "/w", "target_directory": "/t",
            "packages": [
                { "name": "b", "version": "0.2.0", "manifest_path": "/w/plugins/b/Cargo.toml" },
                { "name": "a", "version": "0.1.0", "manifest_path": "/w/a/Cargo.toml" },
            ],
        });
        let workspace = Workspace::from_metadata(&metadata).unwrap();
        let folders = workspace
            .packages
            .iter()
            .map(|p| p.folder.as_path())
            .collect::<Vec<_>>();
        assert_eq!(folders, [Path::new("a"), Path::new("plugins/b")]);
        assert_eq!(
            workspace.programs(Profile::Release),
            Path::new("/t/release")
        );
    }
}
