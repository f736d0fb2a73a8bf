//! The configs of a pod: directories that are copied from the pod to the project, from the project into
//! each release, and whose checksums tell a sync what has changed. What a config is, is `simplenetes_sync`'s.

use std::fs;
use std::path::{Path, PathBuf};

use names::VolumeName;
use simplenetes_sync::{Config, TreeError};

use crate::command_error::{CommandError, Kind};

/// The names of the configs in `_config/POD` that belong into a release, sorted. Names that begin with `_`
/// are for development or templates and stay in the project.
pub(crate) fn names(directory: &Path) -> Result<Vec<VolumeName>, CommandError> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    no_link(directory)?;
    let above = directory.parent().unwrap_or(directory);
    if above.ends_with("_config") {
        no_link(above)?;
    }
    let mut names = Vec::new();
    for entry in sorted_entries(directory)? {
        let name = entry
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if entry.is_dir() && !name.starts_with(['.', '_']) {
            no_link(&entry)?;
            names.push(name.parse::<VolumeName>().map_err(|error| {
                CommandError::new(
                    Kind::Diagnostics,
                    format!("{} cannot be a config", entry.display()),
                )
                .caused_by(error)
            })?);
        }
    }
    Ok(names)
}

/// Refuses a link: it would lead whoever made the project or the pod to files of the operator.
fn no_link(directory: &Path) -> Result<(), CommandError> {
    if !directory.is_symlink() {
        return Ok(());
    }
    Err(
        CommandError::mistake(format!("{} is a symbolic link", directory.display()))
            .hint("put the directory itself there: links do not travel to hosts"),
    )
}

/// Copies the configs of `_config/POD` into the `config` directory of a release, each with its checksum
/// beside it.
pub(crate) fn copy_into_release(source: &Path, target: &Path) -> Result<(), CommandError> {
    for name in names(source)? {
        copy(&source.join(name.as_str()), &target.join(name.as_str()))?;
        let checksum = read(&target.join(name.as_str()))?.checksum();
        hostfiles::write(&target.join(format!("{name}.txt")), &checksum)?;
    }
    Ok(())
}

/// Copies a directory with everything in it over what is there.
pub(crate) fn copy(source: &Path, target: &Path) -> Result<(), CommandError> {
    make_directory(target)?;
    for (path, mark) in read(source)?.files {
        let from = source.join(&path);
        let content = fs::read(&from).map_err(|error| unreadable(&from, error))?;
        write(target, Path::new(&path), &content, mark.executable)?;
    }
    Ok(())
}

/// Writes one file below a directory.
pub(crate) fn write(
    target: &Path,
    path: &Path,
    content: &[u8],
    executable: bool,
) -> Result<(), CommandError> {
    let path = target.join(path);
    make_directory(path.parent().unwrap_or(target))?;
    hostfiles::replace(&path, content, if executable { 0o755 } else { 0o644 })?;
    Ok(())
}

/// A config directory as a sync reads it: what compiles can be sent.
pub(crate) fn read(directory: &Path) -> Result<Config, CommandError> {
    Config::read(directory).map_err(|error| match error {
        TreeError::Io { path, source } => unreadable(&path, source),
        TreeError::Foreign { .. } => CommandError::mistake(error.to_string())
            .hint("a config may hold files and directories only; links and sockets do not travel to hosts"),
    })
}

fn sorted_entries(directory: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let listed = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut entries: Vec<PathBuf> = listed.map_err(|error| unreadable(directory, error))?;
    entries.sort();
    Ok(entries)
}

fn make_directory(path: &Path) -> Result<(), CommandError> {
    fs::create_dir_all(path).map_err(|error| {
        CommandError::files(
            format!("could not make the directory {}", path.display()),
            error,
        )
    })
}

fn unreadable(path: &Path, error: std::io::Error) -> CommandError {
    CommandError::files(format!("could not read {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use hostfiles::ConfigChecksum;

    use super::*;

    /// What `find . -type f -exec sha256sum {} + | LC_ALL=C sort | sha256sum` says of these files.
    const KNOWN: &str = "18957c7c64c6294c40b95cdfe9416fb929dc4558945fdb14e46eb1fde874086c";

    fn sample(root: &Path) -> PathBuf {
        let source = root.join("_config/web");
        write(&source, Path::new("conf/a.txt"), b"a\n", false).unwrap();
        write(&source, Path::new("conf/.hidden"), b"h\n", false).unwrap();
        write(&source, Path::new("conf/sub/run"), b"#!/bin/sh\n", true).unwrap();
        write(&source, Path::new("_tpl/main.conf"), b"t\n", false).unwrap();
        write(&source, Path::new("loose.txt"), b"l\n", false).unwrap();
        source
    }

    #[test]
    fn configs_are_copied_whole_with_their_checksums() {
        let root = tempfile::tempdir().unwrap();
        let source = sample(root.path());
        let target = root.path().join("config");
        copy_into_release(&source, &target).unwrap();
        assert_eq!(fs::read(target.join("conf/.hidden")).unwrap(), b"h\n");
        assert_eq!(
            fs::metadata(target.join("conf/sub/run"))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o755
        );
        assert!(!target.join("_tpl").exists() && !target.join("loose.txt").exists());
        let written = hostfiles::read::<ConfigChecksum>(&target.join("conf.txt")).unwrap();
        assert_eq!(written.as_str(), KNOWN);
    }

    #[test]
    fn a_link_in_a_config_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let source = sample(root.path());
        std::os::unix::fs::symlink("/etc/passwd", source.join("conf/link")).unwrap();
        assert!(copy_into_release(&source, &root.path().join("config")).is_err());
    }

    #[test]
    fn a_directory_of_configs_that_is_a_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let source = sample(root.path());
        let elsewhere = root.path().join("elsewhere");
        write(&elsewhere, Path::new("a.txt"), b"a\n", false).unwrap();
        std::os::unix::fs::symlink(&elsewhere, source.join("linked")).unwrap();
        let refused = |source: &Path| {
            let error = copy_into_release(source, &root.path().join("config")).unwrap_err();
            assert!(error.to_string().contains("is a symbolic link"), "{error}");
        };
        refused(&source);
        let link = root.path().join("_config/link");
        std::os::unix::fs::symlink(&source, &link).unwrap();
        refused(&link);
        assert!(!root.path().join("config/linked").exists());
    }

    #[test]
    fn what_a_sync_would_refuse_is_refused_here() {
        let root = tempfile::tempdir().unwrap();
        let source = sample(root.path());
        write(&source, Path::new("conf/..x"), b"x", false).unwrap();
        let error = copy_into_release(&source, &root.path().join("config")).unwrap_err();
        assert!(error.to_string().contains("begin with `..`"), "{error}");
    }
}
