//! A `podman` that hangs, fails or counts: a script that is found before the real one.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Podman;

impl Podman {
    /// The directory that has to stand first in PATH for [`Podman::intercept`] to have an effect.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.path().join("bin")
    }

    /// From now on every `podman` runs this shell script first, with the same arguments; unless that ends
    /// by itself, the real podman follows.
    ///
    /// # Errors
    /// The script cannot be written, or podman is not installed.
    pub fn intercept(&self, script: &str) -> Result<()> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let real = std::env::split_paths(&path).map(|folder| folder.join("podman"));
        let real = real
            .into_iter()
            .find(|podman| podman.is_file())
            .context("podman is not installed")?;
        let text = format!("#!/bin/sh\n{script}\nexec {} \"$@\"\n", real.display());
        // A shell reads its script while it runs, so that is never changed in place.
        let mut file = tempfile::NamedTempFile::new_in(self.path())?;
        file.write_all(text.as_bytes())?;
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o755))?;
        // Closed before it is executed: a program that is open for writing cannot be.
        let closed = file.into_temp_path();
        closed.persist(self.bin().join("podman"))?;
        Ok(())
    }
}
