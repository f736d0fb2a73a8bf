//! Where programs are found: among those that a sync brought first, then beside the daemon's own executable, so that
//! the programs which are installed together are used together, then in the directories of its `PATH`.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hostfiles::HostHome;

/// The directories that are searched, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    directories: Vec<PathBuf>,
    /// The program that is started as a shim: the daemon itself.
    pub daemon: PathBuf,
}

impl Programs {
    /// The programs that a sync brought, then the directories beside the daemon and of a `PATH`. Relative entries are left out: they would
    /// mean another directory for every unit.
    #[must_use]
    pub fn new(home: Option<&HostHome>, executable: &Path, daemon: PathBuf, path: &OsStr) -> Self {
        let synced = home.map(HostHome::programs_dir);
        let beside = executable.parent().map(Path::to_owned);
        let directories = synced
            .into_iter()
            .chain(beside)
            .chain(std::env::split_paths(path))
            .filter(|path| path.is_absolute());
        Self {
            directories: directories.collect(),
            daemon,
        }
    }

    /// The directories as a `PATH`.
    #[must_use]
    pub fn as_path(&self) -> String {
        let texts: Vec<&str> = self
            .directories
            .iter()
            .filter_map(|directory| directory.to_str())
            .collect();
        texts.join(":")
    }

    /// The program of that name. One with a `/` is a path, relative to the working directory; a name
    /// that is found nowhere stays as it is, and executing it says so.
    pub(super) fn find(&self, program: &str, working_directory: &Path) -> PathBuf {
        if program.contains('/') {
            return working_directory.join(program);
        }
        let found = self
            .directories
            .iter()
            .map(|directory| directory.join(program))
            .find(|path| is_executable(path));
        found.unwrap_or_else(|| PathBuf::from(program))
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_searched_and_paths_are_not() {
        let home = HostHome::new("/home/cluster");
        let programs = Programs::new(
            Some(&home),
            Path::new("/nowhere/simplenetesd"),
            "/proc/self/exe".into(),
            OsStr::new("relative:/bin"),
        );
        assert_eq!(programs.as_path(), "/home/cluster/programs:/nowhere:/bin");
        let here = Path::new("/srv");
        assert_eq!(programs.find("sh", here), Path::new("/bin/sh"));
        assert_eq!(
            programs.find("no-such-program", here),
            Path::new("no-such-program")
        );
        assert_eq!(programs.find("./server", here), Path::new("/srv/./server"));
        assert_eq!(programs.find("/opt/server", here), Path::new("/opt/server"));
    }
}
