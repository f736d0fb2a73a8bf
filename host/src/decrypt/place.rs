//! Puts plain files into their directory in memory, so that units see all old or all new ones: as a sync does
//! with configs, the entries are links through `..data`, which turns in one rename.
//!
//! The directory above lets nobody in but the owner; below it everybody may read, because a container whose
//! program is another user has only this directory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt};

use super::content::{Content, PlainFile};

/// The link that turns.
const DATA: &str = "..data";
/// Under this name it is made.
const NEXT: &str = "..next";

/// Writes the content, unless it is there already. Gives the mark that it is known by: that of when it was written.
pub(super) fn put(place: &Dir, content: &Content, mark: &str) -> io::Result<String> {
    let current = current(place);
    if let Some((directory, known)) = &current
        && holds(place, Path::new(directory), content)
        && is_linked(place, content)
    {
        return Ok(known.clone());
    }
    // A mark comes again when a content does; what a killed daemon has left is not believed.
    let other = current.map(|(directory, _)| directory);
    let mut name = format!("{DATA}-{mark}");
    if other.as_ref() == Some(&name) {
        name.push('b');
    }
    write(place, Path::new(&name), content)?;
    link(place, content)?;
    let _ = place.remove_file(NEXT);
    place.symlink(&name, NEXT)?;
    place.rename(NEXT, place, DATA)?;
    sweep(place, content, &name)?;
    place.set_permissions(".", Permissions::from_mode(0o755))?;
    Ok(name.split_off(DATA.len() + 1))
}

/// The directory that counts, and its mark.
fn current(place: &Dir) -> Option<(String, String)> {
    let name = place
        .read_link(DATA)
        .ok()?
        .into_os_string()
        .into_string()
        .ok()?;
    let mark = name.strip_prefix(DATA)?.strip_prefix('-')?.to_owned();
    (!mark.contains('/')).then_some((name, mark))
}

/// True when exactly these files are there.
fn holds(place: &Dir, directory: &Path, content: &Content) -> bool {
    let mut left: BTreeSet<PathBuf> = content.files.keys().cloned().collect();
    left.extend(content.directories.iter().cloned());
    let is_same = is_same(place, directory, Path::new(""), content, &mut left);
    is_same.unwrap_or(false) && left.is_empty()
}

fn is_same(
    place: &Dir,
    directory: &Path,
    below: &Path,
    content: &Content,
    left: &mut BTreeSet<PathBuf>,
) -> io::Result<bool> {
    for entry in place.read_dir(directory.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if !left.remove(&path) {
            return Ok(false);
        }
        let is_known = match content.files.get(&path) {
            Some(file) => entry.file_type()?.is_file() && has(place, &directory.join(&path), file)?,
            None => entry.file_type()?.is_dir() && is_same(place, directory, &path, content, left)?,
        };
        if !is_known {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has(place: &Dir, path: &Path, file: &PlainFile) -> io::Result<bool> {
    let opened = place.open(path)?;
    let meta = opened.metadata()?;
    let is_executable = meta.permissions().mode() & 0o100 != 0;
    if meta.len() != file.bytes.len() as u64 || is_executable != file.is_executable {
        return Ok(false);
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(file.bytes.len() + 1));
    opened
        .take(file.bytes.len() as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(*bytes == *file.bytes)
}

/// The names at the top of the config.
fn top(content: &Content) -> BTreeSet<OsString> {
    let paths = content.files.keys().chain(&content.directories);
    paths
        .filter_map(|path| Some(path.components().next()?.as_os_str().to_owned()))
        .collect()
}

fn is_linked(place: &Dir, content: &Content) -> bool {
    top(content).iter().all(|name| leads_in(place, name))
}

fn leads_in(place: &Dir, name: &OsString) -> bool {
    place
        .read_link(name)
        .is_ok_and(|target| target == Path::new(DATA).join(name))
}

fn write(place: &Dir, directory: &Path, content: &Content) -> io::Result<()> {
    remove(place, directory)?;
    let open_to_all = Permissions::from_mode(0o755);
    place.create_dir(directory)?;
    place.set_permissions(directory, open_to_all.clone())?;
    for path in &content.directories {
        place.create_dir(directory.join(path))?;
        place.set_permissions(directory.join(path), open_to_all.clone())?;
    }
    for (path, file) in &content.files {
        let mode = if file.is_executable { 0o555 } else { 0o444 };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        let mut opened = place.open_with(directory.join(path), &options)?;
        opened.write_all(&file.bytes)?;
        opened.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// A link that is new leads nowhere until `..data` has turned.
fn link(place: &Dir, content: &Content) -> io::Result<()> {
    for name in top(content) {
        if !leads_in(place, &name) {
            remove(place, Path::new(&name))?;
            place.symlink(Path::new(DATA).join(&name), &name)?;
        }
    }
    Ok(())
}

/// Removes what is not part of the content any more.
fn sweep(place: &Dir, content: &Content, current: &str) -> io::Result<()> {
    let mut stay = top(content);
    stay.extend([DATA.into(), current.into()]);
    for entry in place.entries()? {
        let name = entry?.file_name();
        if !stay.contains(&name) {
            remove(place, Path::new(&name))?;
        }
    }
    Ok(())
}

fn remove(place: &Dir, path: &Path) -> io::Result<()> {
    let removed = match place.symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => place.remove_dir_all(path),
        Ok(_) => place.remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cap_std::ambient_authority;
    use seal::Keys;

    use super::super::content::tests::{config, open};
    use super::*;

    struct Stage {
        folder: tempfile::TempDir,
        place: Dir,
        keys: Keys,
    }

    fn stage() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let place = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        Stage {
            folder,
            place,
            keys: Keys::generate(),
        }
    }

    impl Stage {
        fn put(&self, files: &[(&str, &[u8])]) -> String {
            let config = config(&self.keys, files);
            let content = open(config.path(), &self.keys).unwrap();
            put(&self.place, &content, &content.mark(&self.keys)).unwrap()
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.folder.path().join(path)).unwrap()
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.folder.path()).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| !name.starts_with("..data-"))
                .collect();
            names.sort();
            names
        }
    }

    #[test]
    fn what_is_there_already_is_left_as_it_is() {
        let stage = stage();
        let files: [(&str, &[u8]); 2] = [("db", b"one"), ("sub/key", b"two")];
        let mark = stage.put(&files);
        let inode = || {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(stage.folder.path().join("db")).unwrap().ino()
        };
        let before = inode();
        assert_eq!((stage.put(&files), inode()), (mark.clone(), before));
        assert_eq!(
            (stage.read("db"), stage.read("sub/key")),
            ("one".into(), "two".into())
        );
        let other = stage.put(&[("db", b"three")]);
        assert_ne!(other, mark);
        assert_eq!(stage.read("db"), "three");
        assert_eq!(stage.names(), ["..data", "db"]);
        assert_eq!(stage.put(&files), mark);
    }

    #[test]
    fn what_somebody_has_changed_there_is_put_right() {
        let stage = stage();
        let files: [(&str, &[u8]); 1] = [("db", b"one")];
        stage.put(&files);
        let data = stage
            .folder
            .path()
            .join(fs::read_link(stage.folder.path().join(DATA)).unwrap());
        let path = stage.folder.path();
        let lay = |path: &Path| assert!(hostfiles::replace(path, b"two", 0o644).unwrap());
        let spoil: [&dyn Fn(); 4] = [
            &|| lay(&data.join("db")),
            &|| lay(&path.join("db")),
            &|| lay(&path.join("..data/more")),
            &|| fs::remove_file(path.join(DATA)).unwrap(),
        ];
        for spoil in spoil {
            spoil();
            stage.put(&files);
            assert_eq!(stage.read("db"), "one");
            assert_eq!(stage.names(), ["..data", "db"]);
        }
    }
}
