//! The directories `ramdisk/NAME` of a release, made and removed by whoever drives it.
//!
//! Units write in them, so nothing there is trusted: each directory is opened from the one above it and no
//! link is followed, because a daemon that is root would make and remove elsewhere what somebody likes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Permissions, PermissionsExt};
use hostfiles::ReleaseDir;
use names::VolumeName;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// The directory that holds them.
const ALL: &str = "ramdisk";

/// Makes the directory of a ramdisk, if it is not there, and opens it. As in /tmp, everybody may write there who has
/// a way to it: a container may have another user.
pub(super) fn make(release: &ReleaseDir, name: &VolumeName) -> io::Result<Dir> {
    let made = make_in(&make_all(release)?, name.as_str())?;
    made.set_permissions(".", Permissions::from_mode(0o1777))?;
    Ok(made)
}

/// The same where a daemon without root may have left a link to memory that it has found.
pub(super) fn make_for_config(release: &ReleaseDir, name: &VolumeName) -> io::Result<Dir> {
    let all = make_all(release)?;
    let seen = all.symlink_metadata(name.as_str());
    if seen.is_ok_and(|meta| meta.is_symlink()) {
        all.remove_file(name.as_str())?;
    }
    make_in(&all, name.as_str())
}

/// Makes the directory that holds them. Who is not the owner has no way through it: what is mounted in it may be
/// readable for everybody, because a container is given it without the way.
pub(super) fn make_all(release: &ReleaseDir) -> io::Result<Dir> {
    let release = open(release)?;
    let all = make_in(&release, ALL)?;
    all.set_permissions(".", Permissions::from_mode(0o700))?;
    Ok(all)
}

/// Has the place of a ramdisk lead to a directory that is somewhere else.
pub(super) fn lead_to(release: &ReleaseDir, name: &VolumeName, target: &Path) -> io::Result<()> {
    let all = make_all(release)?;
    match all.symlink_metadata(name.as_str()) {
        Ok(meta) if meta.is_symlink() => {
            if all.read_link_contents(name.as_str())? == target {
                return Ok(());
            }
            all.remove_file(name.as_str())?;
        }
        // Where root has mounted one before, an empty directory is left.
        Ok(_) => all.remove_dir(name.as_str())?,
        Err(_) => {}
    }
    all.symlink_contents(target, name.as_str())
}

/// All ramdisks of a release, to be removed.
pub(super) struct Ramdisks {
    release: Dir,
    all: Dir,
}

impl Ramdisks {
    /// None when the release has none, or something else lies in their place, which is removed.
    pub(super) fn of(release: &ReleaseDir) -> io::Result<Option<Self>> {
        let release = match open(release) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        match enter(&release, ALL) {
            Ok(all) => Ok(Some(Self { release, all })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => release.remove_file(ALL).map(|()| None),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of those that are directories.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in self.all.entries()? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.push(entry.file_name());
            }
        }
        Ok(names)
    }

    /// Removes what lies in one. What cannot be removed is gone with the ramdisk, or is told when its
    /// directory is removed.
    pub(super) fn empty(&self, name: &OsStr) {
        let Ok(ramdisk) = enter(&self.all, name) else {
            return;
        };
        for entry in ramdisk.entries().into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let _ = if is_directory {
                ramdisk.remove_dir_all(entry.file_name())
            } else {
                ramdisk.remove_file(entry.file_name())
            };
        }
    }

    /// Removes the directories.
    pub(super) fn remove(self) -> io::Result<()> {
        drop(self.all);
        self.release.remove_dir_all(ALL)
    }
}

fn open(release: &ReleaseDir) -> io::Result<Dir> {
    Dir::open_ambient_dir(release.path(), ambient_authority())
}

fn make_in(directory: &Dir, name: &str) -> io::Result<Dir> {
    match directory.create_dir(name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    enter(directory, name).map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => io::Error::other(format!(
            "`{name}` there is a link or no directory: remove it"
        )),
        other => other.into(),
    })
}

/// Opens a directory in this one. A ramdisk may be mounted there.
fn enter(directory: &Dir, name: impl AsRef<Path>) -> Result<Dir, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let opened = openat2(directory, name.as_ref(), flags, Mode::empty(), inside)?;
    Ok(Dir::from_std_file(fs::File::from(opened)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A release, and a directory with a file beside it that nobody should touch.
    fn stage() -> (tempfile::TempDir, ReleaseDir) {
        let folder = tempfile::tempdir().unwrap();
        let release = ReleaseDir::new(folder.path().join("release"));
        fs::create_dir(release.path()).unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        hostfiles::replace(&folder.path().join("etc/passwd"), b"root", 0o600).unwrap();
        (folder, release)
    }

    fn remove(release: &ReleaseDir) {
        if let Some(ramdisks) = Ramdisks::of(release).unwrap() {
            for name in ramdisks.names().unwrap() {
                ramdisks.empty(&name);
            }
            ramdisks.remove().unwrap();
        }
        assert!(fs::symlink_metadata(release.path().join("ramdisk")).is_err());
    }

    #[test]
    fn nothing_is_made_or_removed_behind_a_link() {
        let cache: VolumeName = "cache".parse().unwrap();
        for link in ["ramdisk", "ramdisk/cache", "ramdisk/cache/inner"] {
            let (folder, release) = stage();
            let path = release.path().join(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(folder.path().join("etc"), path).unwrap();
            let made = make(&release, &cache);
            assert_eq!(
                made.is_ok(),
                link == "ramdisk/cache/inner",
                "{link}: {made:?}"
            );
            remove(&release);
            let left: Vec<_> = fs::read_dir(folder.path().join("etc"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(left, ["passwd"], "{link}");
        }
    }

    #[test]
    fn made_twice_and_removed_with_all_that_lies_in_it() {
        let (_folder, release) = stage();
        let cache: VolumeName = "cache".parse().unwrap();
        remove(&release);
        for _ in 0..2 {
            make(&release, &cache).unwrap();
        }
        let inner = release.ramdisk(&cache).join("a/b");
        fs::create_dir_all(&inner).unwrap();
        hostfiles::replace(&inner.join("file"), b"x", 0o600).unwrap();
        remove(&release);
        remove(&release);
    }
}
