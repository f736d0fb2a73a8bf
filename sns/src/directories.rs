//! Directories that appear whole or not at all, and directories that are set aside instead of deleted.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

use crate::command_error::CommandError;

/// How the names of directories begin that nobody should see yet or any more.
const STAGED: &str = ".staged.";

/// The same of older versions, whose `updateconfig` could be killed half-way.
const STAGED_FORMERLY: [&str; 2] = [".former.", ".config."];

/// A directory that is being filled beside the place where it will appear. Dropped before that, it is gone.
pub(crate) struct Staged {
    temporary: TempDir,
    place: PathBuf,
}

impl Staged {
    /// Begins a directory that will appear at `place`; directories above it are made.
    pub(crate) fn begin(place: PathBuf) -> Result<Self, CommandError> {
        let failed = |error| {
            CommandError::files(
                format!("could not make the directory {}", place.display()),
                error,
            )
        };
        let parent = place.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(failed)?;
        // Hidden, because readers of the project and of a host skip names that begin with a dot.
        let temporary = tempfile::Builder::new()
            .prefix(STAGED)
            .tempdir_in(parent)
            .map_err(failed)?;
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).map_err(failed)?;
        Ok(Self { temporary, place })
    }

    /// Where its files go meanwhile.
    pub(crate) fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Lets the directory appear in its place, which must be free.
    pub(crate) fn publish(self) -> Result<PathBuf, CommandError> {
        let Self { temporary, place } = self;
        rename(temporary.path(), &place).map_err(|error| {
            CommandError::files(
                format!("could not make the directory {}", place.display()),
                error,
            )
        })?;
        // Nothing is left to be deleted.
        let _ = temporary.keep();
        Ok(place)
    }

    /// The same when the place is taken: what is there is replaced in one step, so that whoever is killed
    /// meanwhile leaves the old directory or the new one in the place.
    pub(crate) fn replace(self) -> Result<PathBuf, CommandError> {
        if !self.place.exists() {
            return self.publish();
        }
        let Self { temporary, place } = self;
        renameat_with(CWD, temporary.path(), CWD, &place, RenameFlags::EXCHANGE).map_err(
            |error| {
                let message = format!("could not replace {}", place.display());
                CommandError::files(message, io::Error::from(error))
            },
        )?;
        // What was there is in the temporary directory now and goes with it.
        Ok(place)
    }
}

/// Removes what a killed `sns` left in a directory. Nobody else may be staging there.
pub(crate) fn sweep(directory: &Path) -> Result<(), CommandError> {
    let [former, config] = STAGED_FORMERLY;
    sweep_names(directory, &[STAGED, former, config])
}

/// The same for the root of a project, where only new versions stage and people have hidden directories of
/// their own.
pub(crate) fn sweep_root(directory: &Path) -> Result<(), CommandError> {
    sweep_names(directory, &[STAGED])
}

fn sweep_names(directory: &Path, prefixes: &[&str]) -> Result<(), CommandError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(());
        }
        Err(error) => return Err(unswept(directory, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| unswept(directory, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_left = prefixes.iter().any(|prefix| name.starts_with(prefix));
        if is_left && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::remove_dir_all(entry.path()).map_err(|error| unswept(&entry.path(), error))?;
        }
    }
    Ok(())
}

fn unswept(path: &Path, error: io::Error) -> CommandError {
    CommandError::files(
        format!("could not clean up {} after an earlier run", path.display()),
        error,
    )
}

/// Hides a directory as `.NAME.UNIXSECONDS`, so that nothing sees it any more and a person can bring it back.
pub(crate) fn set_aside(directory: &Path, now: Timestamp) -> Result<PathBuf, CommandError> {
    let failed = |error| {
        CommandError::files(
            format!("could not set aside {}", directory.display()),
            error,
        )
    };
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let mut seconds = now.as_second();
    loop {
        let hidden = directory.with_file_name(format!(".{name}.{seconds}"));
        if !hidden.exists() {
            rename(directory, &hidden).map_err(failed)?;
            return Ok(hidden);
        }
        seconds += 1;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "moves whole directories inside the project, which no program reads meanwhile"
)]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_directory_is_invisible_until_it_is_published() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("release/1.0.0");
        let staged = Staged::begin(place.clone()).unwrap();
        hostfiles::replace(&staged.path().join("pod"), b"x", 0o755).unwrap();
        assert!(!place.exists());
        staged.publish().unwrap();
        assert_eq!(fs::read(place.join("pod")).unwrap(), b"x");
        assert_eq!(
            fs::read_dir(root.path().join("release")).unwrap().count(),
            1,
            "nothing is left beside it"
        );

        drop(Staged::begin(root.path().join("release/1.0.1")).unwrap());
        assert_eq!(
            fs::read_dir(root.path().join("release")).unwrap().count(),
            1
        );

        Staged::begin(place.clone()).unwrap().replace().unwrap();
        assert!(!place.join("pod").exists());
        assert_eq!(
            fs::read_dir(root.path().join("release")).unwrap().count(),
            1
        );
    }

    #[test]
    fn a_sweep_removes_what_was_left_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let names = [
            ".staged.a1B2c3",
            ".former.x",
            ".config.x",
            ".1.0.0.1700000000",
            "config",
        ];
        for name in names {
            fs::create_dir_all(root.path().join(name).join("conf")).unwrap();
        }
        sweep_root(root.path()).unwrap();
        assert!(!root.path().join(".staged.a1B2c3").exists());
        assert!(root.path().join(".config.x").exists());
        sweep(root.path()).unwrap();
        sweep(&root.path().join("nowhere")).unwrap();
        let mut left: Vec<String> = fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, [".1.0.0.1700000000", "config"]);
    }

    #[test]
    fn what_is_set_aside_twice_in_a_second_is_kept_twice() {
        let root = tempfile::tempdir().unwrap();
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        for expected in [".web.1700000000", ".web.1700000001"] {
            fs::create_dir(root.path().join("web")).unwrap();
            assert_eq!(
                set_aside(&root.path().join("web"), now).unwrap(),
                root.path().join(expected)
            );
        }
    }
}
