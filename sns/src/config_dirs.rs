//! The configs of a pod: directories that are copied from the pod to the project, from the project into
//! each release, and whose checksums tell a sync what has changed. Hidden files are copied and counted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hostfiles::ConfigChecksum;
use names::VolumeName;
use sha2::{Digest as _, Sha256};

use crate::command_error::{CommandError, Kind};

/// One file of a config: its path inside, its content, whether it can be executed.
struct ConfigFile {
    path: PathBuf,
    content: Vec<u8>,
    executable: bool,
}

/// The names of the configs in `_config/POD` that belong into a release, sorted. Names that begin with `_`
/// are for development or templates and stay in the project.
pub(crate) fn names(directory: &Path) -> Result<Vec<VolumeName>, CommandError> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in sorted_entries(directory)? {
        let name = entry
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if entry.is_dir() && !name.starts_with(['.', '_']) {
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

/// Copies the configs of `_config/POD` into the `config` directory of a release, each with its checksum
/// beside it.
pub(crate) fn copy_into_release(source: &Path, target: &Path) -> Result<(), CommandError> {
    for name in names(source)? {
        copy(&source.join(name.as_str()), &target.join(name.as_str()))?;
        let checksum = checksum(&target.join(name.as_str()))?;
        hostfiles::write(&target.join(format!("{name}.txt")), &checksum)?;
    }
    Ok(())
}

/// Copies a directory with everything in it over what is there.
pub(crate) fn copy(source: &Path, target: &Path) -> Result<(), CommandError> {
    make_directory(target)?;
    for file in files(source)? {
        write(target, &file.path, &file.content, file.executable)?;
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

/// The checksum of a config directory.
pub(crate) fn checksum(directory: &Path) -> Result<ConfigChecksum, CommandError> {
    let mut lines: Vec<Vec<u8>> = files(directory)?.iter().map(checksum_line).collect();
    lines.sort();
    let digest = hex(&Sha256::digest(lines.concat()));
    digest.parse().map_err(|error: hostfiles::FormatError| {
        CommandError::new(Kind::Internal, "a checksum has an impossible form").caused_by(error)
    })
}

/// SHA-256 as people write it.
pub(crate) fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

fn checksum_line(file: &ConfigFile) -> Vec<u8> {
    let mut line = format!("{}  ./", sha256(&file.content)).into_bytes();
    line.extend_from_slice(file.path.as_os_str().as_encoded_bytes());
    line.push(b'\n');
    line
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files below a directory, in the order of their paths.
fn files(directory: &Path) -> Result<Vec<ConfigFile>, CommandError> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for path in sorted_entries(&next)? {
            let kind = fs::symlink_metadata(&path).map_err(|error| unreadable(&path, error))?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                let content = fs::read(&path).map_err(|error| unreadable(&path, error))?;
                let executable = kind.permissions().mode() & 0o111 != 0;
                let path = path.strip_prefix(directory).unwrap_or(&path).to_owned();
                files.push(ConfigFile {
                    path,
                    content,
                    executable,
                });
            } else {
                return Err(CommandError::mistake(format!("{} is neither a file nor a directory", path.display()))
                    .hint("a config may hold files and directories only; links and sockets do not travel to hosts"));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
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
}
