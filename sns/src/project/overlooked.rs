//! Directories that look like a host, a pod or a release and are none, because of their names or because
//! they are links: they are never compiled, listed or sent, which their author should know.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use names::{HostName, PodName, PodVersion};

use super::Cluster;
use crate::command_error::CommandError;
use crate::ui::Ui;

impl Cluster<'_> {
    /// Warns of each.
    pub(crate) fn warn_of_overlooked(&self, ui: &Ui) -> Result<(), CommandError> {
        for warning in self.overlooked()? {
            ui.warning(&warning);
        }
        Ok(())
    }

    fn overlooked(&self) -> Result<Vec<String>, CommandError> {
        let mut found = Vec::new();
        self.look::<HostName>(self.path(), &mut found, |path| {
            path.join("host.env").is_file()
        })?;
        for host in self.host_names()? {
            let pods = self.files.host(&host).pods_dir();
            self.look::<PodName>(&pods, &mut found, |_| true)?;
            for pod in entries(&pods)? {
                self.look::<PodVersion>(&pods.join(pod).join("release"), &mut found, |_| true)?;
            }
        }
        Ok(found)
    }

    /// Adds the sub-directories that are meant, and are not what a `T` names.
    fn look<T>(
        &self,
        directory: &Path,
        found: &mut Vec<String>,
        is_meant: impl Fn(&Path) -> bool,
    ) -> Result<(), CommandError>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        for name in entries(directory)? {
            let path = directory.join(&name);
            if !path.is_dir() || !is_meant(&path) {
                continue;
            }
            let reason = match name.parse::<T>() {
                Err(error) => error.to_string(),
                Ok(_) if path.is_symlink() => "it is a symbolic link, not a directory".to_owned(),
                Ok(_) => continue,
            };
            found.push(format!("{} is overlooked: {reason}", self.shown(&path)));
        }
        Ok(())
    }
}

/// The names in a directory that are neither hidden nor of the project itself, sorted.
fn entries(directory: &Path) -> Result<Vec<String>, CommandError> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let failed =
        |error| CommandError::files(format!("could not list {}", directory.display()), error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with(['.', '_']) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
