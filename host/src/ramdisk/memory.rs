//! Memory for what must never lie on a disk, where nobody can mount a ramdisk: the release itself may lie in
//! memory, or the user has a directory there, `XDG_RUNTIME_DIR`, to which a link leads.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use hostfiles::ReleaseDir;
use names::VolumeName;
use rustix::fs::fstatfs;
use rustix::process::geteuid;
use sha2::{Digest, Sha256};

use super::directories;

/// File systems that are nothing but memory, as `statfs` numbers them: tmpfs and ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// True when what is written there is kept in memory only.
pub(super) fn is_memory(directory: impl AsFd) -> io::Result<bool> {
    let kind = fstatfs(directory)?.f_type;
    Ok(u64::try_from(kind).is_ok_and(|kind| IN_MEMORY.contains(&kind)))
}

/// The directory for one config: beside the ramdisks of the release when these lie in memory, else in the
/// directory of the user.
pub(super) fn make(
    release: &ReleaseDir,
    name: &VolumeName,
    runtime: Option<&Path>,
) -> Result<Dir, String> {
    let failed = |error: io::Error| {
        let place = release.ramdisk(name);
        format!("cannot make {}: {error}", place.display())
    };
    let all = directories::make_all(release).map_err(failed)?;
    if is_memory(&all).map_err(failed)? {
        return directories::make_for_config(release, name).map_err(failed);
    }
    let runtime = checked(runtime).map_err(|why| {
        format!("the config {name} is encrypted and may lie in memory only, but {why}; root's daemon can mount memory for it")
    })?;
    let place = place(runtime, release).join(name.as_str());
    let made = fs::create_dir_all(&place).and_then(|()| {
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
        directories::lead_to(release, name, &place)
    });
    made.map_err(|error| format!("cannot make {}: {error}", place.display()))?;
    let opened = Dir::open_ambient_dir(&place, cap_std::ambient_authority());
    opened.map_err(|error| format!("cannot open {}: {error}", place.display()))
}

/// Removes what was made in the directory of the user.
pub(super) fn remove_all(release: &ReleaseDir, runtime: Option<&Path>) -> io::Result<()> {
    let Some(runtime) = runtime else {
        return Ok(());
    };
    match fs::remove_dir_all(place(runtime, release)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A release has a place of its own, whatever else the user runs.
fn place(runtime: &Path, release: &ReleaseDir) -> PathBuf {
    let digest = Sha256::digest(release.path().as_os_str().as_encoded_bytes());
    let name: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    runtime.join("simplenetes").join("ramdisk").join(name)
}

/// The directory of the user, if it is in memory and nobody else's.
fn checked(runtime: Option<&Path>) -> Result<&Path, String> {
    let runtime = runtime.ok_or("there is no XDG_RUNTIME_DIR")?;
    let wrong = |what: &str| format!("XDG_RUNTIME_DIR, {}, {what}", runtime.display());
    let opened = fs::File::open(runtime).and_then(|directory| {
        let meta = directory.metadata()?;
        Ok((meta, is_memory(&directory)?))
    });
    let (meta, is_memory) = opened.map_err(|error| wrong(&format!("cannot be opened: {error}")))?;
    if !meta.is_dir() || meta.uid() != geteuid().as_raw() || meta.mode() & 0o077 != 0 {
        return Err(wrong("is no directory that is closed to other users"));
    }
    if !is_memory {
        return Err(wrong("is not in memory"));
    }
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A release on a disk, where what lies survives a restart of the machine, and a directory in memory.
    fn stage() -> (tempfile::TempDir, ReleaseDir, tempfile::TempDir) {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let release = ReleaseDir::new(folder.path().join("release"));
        fs::create_dir(release.path()).unwrap();
        let runtime = tempfile::tempdir_in("/dev/shm").unwrap();
        for directory in [folder.path(), runtime.path()] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
        }
        (folder, release, runtime)
    }

    #[test]
    fn a_release_on_a_disk_leads_to_the_directory_of_the_user() {
        let (_folder, release, runtime) = stage();
        let name: VolumeName = "conf".parse().unwrap();
        for _ in 0..2 {
            let made = make(&release, &name, Some(runtime.path())).unwrap();
            assert!(is_memory(&made).unwrap());
            made.write("db", "secret").unwrap();
            let seen = release.ramdisk(&name).join("db");
            assert_eq!(fs::read_to_string(seen).unwrap(), "secret");
        }
        remove_all(&release, Some(runtime.path())).unwrap();
        assert!(fs::metadata(release.ramdisk(&name)).is_err());
    }

    #[test]
    fn where_nothing_is_in_memory_nothing_is_made() {
        let (folder, release, runtime) = stage();
        let name: VolumeName = "conf".parse().unwrap();
        let check = |runtime: Option<&Path>, part: &str| {
            let why = make(&release, &name, runtime).map(drop).unwrap_err();
            assert!(why.contains(part) && why.contains("conf"), "{why}");
            assert!(fs::symlink_metadata(release.ramdisk(&name)).is_err());
        };
        check(None, "there is no XDG_RUNTIME_DIR");
        check(Some(folder.path()), "is not in memory");
        check(Some(Path::new("/nowhere")), "cannot be opened");
        fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o755)).unwrap();
        check(Some(runtime.path()), "closed to other users");
    }

    #[test]
    fn a_release_in_memory_needs_nobody() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let release = ReleaseDir::new(folder.path());
        let name: VolumeName = "conf".parse().unwrap();
        make(&release, &name, None)
            .unwrap()
            .write("db", "x")
            .unwrap();
        assert!(
            fs::symlink_metadata(release.ramdisk(&name))
                .unwrap()
                .is_dir()
        );
    }
}
