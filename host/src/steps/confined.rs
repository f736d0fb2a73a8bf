//! Steps on files: whatever a path says and wherever links lead, nothing outside the release directory
//! is touched.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};
use hostfiles::ReleaseDir;
use simplenetes_plugin::Step;

use super::StepError;

/// Runs a step on files; any other step is none of its business.
pub(super) fn run(release: &ReleaseDir, step: &Step) -> Result<(), StepError> {
    let (what, path) = match step {
        Step::Write { path, .. } => ("write", path),
        Step::Link { path, .. } => ("link", path),
        Step::MakeDirectory { path } => ("make the directory", path),
        Step::Remove { path } => ("remove", path),
        Step::Compose { .. }
        | Step::Command { .. }
        | Step::Look { .. }
        | Step::Process { .. }
        | Step::Detached { .. }
        | Step::Signal { .. }
        | Step::Attach { .. } => return Ok(()),
    };
    let done =
        Dir::open_ambient_dir(release.path(), ambient_authority()).and_then(
            |directory| match step {
                Step::Write { content, mode, .. } => write(&directory, path, content, *mode),
                Step::Link { target, .. } => link(&directory, path, &release.path().join(target)),
                Step::MakeDirectory { .. } => directory.create_dir_all(path),
                _ => remove(&directory, Path::new(path)),
            },
        );
    match done {
        // The release itself was taken away, and what should be removed with it.
        Err(gone) if gone.kind() == io::ErrorKind::NotFound && what == "remove" => Ok(()),
        done => done.map_err(|source| StepError::Path {
            what,
            path: path.clone(),
            source,
        }),
    }
}

fn write(directory: &Dir, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let beside = beside(Path::new(path))?;
    // Whoever may write beside it could have laid a link there.
    let _ = directory.remove_file(&beside);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode & 0o777);
    let mut file = directory.open_with(&beside, &options)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode & 0o777)))
        .and_then(|()| file.sync_all())
        .and_then(|()| directory.rename(&beside, directory, path));
    if written.is_err() {
        let _ = directory.remove_file(&beside);
    }
    written
}

fn link(directory: &Dir, path: &str, target: &Path) -> io::Result<()> {
    let beside = beside(Path::new(path))?;
    let _ = directory.remove_file(&beside);
    directory.symlink_contents(target, &beside)?;
    let placed = directory.rename(&beside, directory, path);
    if placed.is_err() {
        let _ = directory.remove_file(&beside);
    }
    placed
}

/// The hidden name under which something is made before it is moved into its place.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no name"))?;
    Ok(path.with_file_name(format!(".{}.new", name.to_string_lossy())))
}

fn remove(directory: &Dir, path: &Path) -> io::Result<()> {
    let removed = match directory.symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => directory.remove_dir_all(path),
        Ok(_) => directory.remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn release() -> (tempfile::TempDir, ReleaseDir) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("release")).unwrap();
        fs::create_dir_all(folder.path().join("outside")).unwrap();
        hostfiles::replace(&folder.path().join("outside/file"), b"mine", 0o600).unwrap();
        std::os::unix::fs::symlink(
            folder.path().join("outside"),
            folder.path().join("release/away"),
        )
        .unwrap();
        let release = ReleaseDir::new(folder.path().join("release"));
        (folder, release)
    }

    fn write_step(path: &str) -> Step {
        Step::Write {
            path: path.into(),
            content: b"text".to_vec(),
            mode: 0o600,
        }
    }

    #[test]
    fn nothing_outside_is_touched() {
        let (folder, release) = release();
        for path in [
            "../outside/file",
            "/etc/passwd",
            "away/file",
            "a/../../outside/file",
            "..",
        ] {
            assert!(run(&release, &write_step(path)).is_err(), "wrote {path}");
            assert!(
                run(
                    &release,
                    &Step::MakeDirectory {
                        path: format!("{path}/new")
                    }
                )
                .is_err(),
                "made {path}"
            );
            let link = Step::Link {
                path: path.into(),
                target: "config".into(),
            };
            assert!(run(&release, &link).is_err(), "linked {path}");
            let _ = run(&release, &Step::Remove { path: path.into() });
            assert_eq!(
                fs::read_to_string(folder.path().join("outside/file")).unwrap(),
                "mine",
                "{path}"
            );
        }
        run(
            &release,
            &Step::Remove {
                path: "away".into(),
            },
        )
        .unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("outside/file")).unwrap(),
            "mine"
        );
    }

    #[test]
    fn files_links_and_directories_inside() {
        let (_folder, release) = release();
        run(
            &release,
            &Step::MakeDirectory {
                path: "root/main/mnt".into(),
            },
        )
        .unwrap();
        run(
            &release,
            &Step::MakeDirectory {
                path: "root/main/mnt".into(),
            },
        )
        .unwrap();
        run(&release, &write_step("root/main/file")).unwrap();
        run(&release, &write_step("root/main/file")).unwrap();
        for target in ["config/old", "config/conf"] {
            run(
                &release,
                &Step::Link {
                    path: "root/main/mnt/conf".into(),
                    target: target.into(),
                },
            )
            .unwrap();
        }
        let link = fs::read_link(release.path().join("root/main/mnt/conf")).unwrap();
        assert_eq!(link, release.path().join("config/conf"));
        let mode = fs::metadata(release.path().join("root/main/file"))
            .unwrap()
            .permissions();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
            0o600
        );
        run(
            &release,
            &Step::Remove {
                path: "root".into(),
            },
        )
        .unwrap();
        run(
            &release,
            &Step::Remove {
                path: "root".into(),
            },
        )
        .unwrap();
        assert!(!release.path().join("root").exists());
    }
}
