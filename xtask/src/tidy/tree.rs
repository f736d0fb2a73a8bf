//! The sources that tidy looks at: every text file that git tracks or would track.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::program::Program;

/// File names with their texts, sorted; paths are relative to the workspace and use `/`.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
    /// Found once for all checks: it parses every file.
    reached: OnceCell<BTreeMap<String, bool>>,
}

/// One package manifest.
pub(crate) struct Manifest<'a> {
    /// Path of the `Cargo.toml`.
    pub(crate) path: &'a str,
    /// Directory of the package, without a slash at the end.
    pub(crate) folder: &'a str,
    /// The parsed manifest.
    pub(crate) table: toml::Table,
}

impl Manifest<'_> {
    /// The package's name.
    pub(crate) fn name(&self) -> &str {
        let package = self
            .table
            .get("package")
            .and_then(|package| package.get("name"));
        package.and_then(toml::Value::as_str).unwrap_or(self.folder)
    }

    /// The names of the packages in one of the dependency tables.
    pub(crate) fn dependencies(&self, table: &str) -> Vec<String> {
        let table = self.table.get(table).and_then(toml::Value::as_table);
        table
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default()
    }
}

impl Tree {
    /// Reads the working tree; files that are not UTF-8 are left out.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let listed = Program::new("git")
            .directory(root)
            .args([
                "ls-files",
                "--cached",
                "--others",
                "--exclude-standard",
                "-z",
            ])
            .output()
            .context("tidy looks at the files that git knows")?;
        let mut files = BTreeMap::new();
        for name in listed.split_terminator('\0') {
            if let Ok(text) = std::fs::read_to_string(root.join(name)) {
                files.insert(name.to_owned(), text);
            }
        }
        Ok(Self::from(files))
    }

    /// A small tree for a test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Self::from(files.iter().map(owned).collect::<BTreeMap<_, _>>())
    }

    /// All compiled files; true for those that are compiled for tests only.
    pub(super) fn reached(&self) -> &BTreeMap<String, bool> {
        self.reached.get_or_init(|| super::modules::reached(self))
    }

    /// The text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// All files.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// All Rust sources.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The manifests of all packages; a manifest that is not TOML is Cargo's own problem.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = Manifest<'_>> {
        self.files().filter_map(|(path, text)| {
            let folder = path.strip_suffix("/Cargo.toml")?;
            Some(Manifest {
                path,
                folder,
                table: text.parse().ok()?,
            })
        })
    }
}

impl From<BTreeMap<String, String>> for Tree {
    fn from(files: BTreeMap<String, String>) -> Self {
        Self {
            files,
            reached: OnceCell::new(),
        }
    }
}

/// Name and extension of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The folder of a path, with its `/`; empty for a file at the top.
pub(crate) fn folder(path: &str) -> &str {
    path.strip_suffix(file_name(path)).unwrap_or_default()
}
