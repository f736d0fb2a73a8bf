//! The checksum of a config: of the names and the content of its files, so that a file which is
//! written again with the same content is no change. Hidden names are part of a config, except those
//! that begin with `..`: the links of a synced config lead through them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Deeper directories are not looked at.
const DEPTH_MAX: u32 = 16;
/// A config with more names is not looked at: a unit can write into its configs what it likes, and must
/// not keep the daemon busy with that.
const ENTRIES_MAX: usize = 20_000;
/// When so much was read, size and time stand for the content of the other files.
const BYTES_MAX: u64 = 64 << 20;

/// So many random characters has the name of a file that is written beside another.
const RANDOM_BYTES: usize = 6;

/// The SHA-256 of everything in the directory that is part of the config, in hexadecimal.
pub(super) fn checksum(directory: &Path) -> io::Result<String> {
    let mut walk = Walk {
        root: directory.canonicalize()?,
        hasher: Sha256::new(),
        visited: BTreeSet::new(),
        entries: 0,
        bytes: 0,
    };
    walk.add_directory(directory, 0)?;
    Ok(walk
        .hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

struct Walk {
    /// Links are followed only to what is below.
    root: PathBuf,
    hasher: Sha256,
    /// Device and inode of the directories that were seen: links may lead back up.
    visited: BTreeSet<(u64, u64)>,
    entries: usize,
    bytes: u64,
}

impl Walk {
    fn add_directory(&mut self, directory: &Path, depth: u32) -> io::Result<()> {
        let meta = fs::metadata(directory)?;
        if depth > DEPTH_MAX || !self.visited.insert((meta.dev(), meta.ino())) {
            return Ok(());
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)?.flatten() {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                let message = format!("it has more than {ENTRIES_MAX} files");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
            }
            names.push(entry.file_name());
        }
        names.sort();
        for name in names.iter().filter(|name| is_part(name.as_encoded_bytes())) {
            self.add_entry(name.as_encoded_bytes(), &directory.join(name), depth)?;
        }
        Ok(())
    }

    fn add_entry(&mut self, name: &[u8], path: &Path, depth: u32) -> io::Result<()> {
        let is_link = fs::symlink_metadata(path)?.is_symlink();
        if is_link
            && !path
                .canonicalize()
                .is_ok_and(|to| to.starts_with(&self.root))
        {
            add(&mut self.hasher, b'l', name);
            let target = fs::read_link(path)?;
            add(
                &mut self.hasher,
                b't',
                target.as_os_str().as_encoded_bytes(),
            );
            return Ok(());
        }
        let meta = fs::metadata(path)?;
        if meta.is_dir() {
            add(&mut self.hasher, b'd', name);
            self.add_directory(path, depth + 1)?;
            add(&mut self.hasher, b'e', b"");
        } else if meta.is_file() {
            add(&mut self.hasher, b'f', name);
            self.add_file(path, &meta)?;
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path, meta: &fs::Metadata) -> io::Result<()> {
        if self.bytes.saturating_add(meta.len()) > BYTES_MAX {
            let stamp = format!("{} {} {}", meta.len(), meta.mtime(), meta.mtime_nsec());
            add(&mut self.hasher, b's', stamp.as_bytes());
            return Ok(());
        }
        let mut content = Vec::new();
        fs::File::open(path)?
            .take(meta.len())
            .read_to_end(&mut content)?;
        self.bytes += content.len() as u64;
        add(&mut self.hasher, b'c', &content);
        Ok(())
    }
}

/// True for a name that is part of a config; a file that is being written beside another is not yet.
fn is_part(name: &[u8]) -> bool {
    !name.starts_with(b"..") && !is_beside(name)
}

/// `.NAME.XXXXXX.tmp`, as `hostfiles::replace` calls it.
fn is_beside(name: &[u8]) -> bool {
    let inner = name
        .strip_prefix(b".")
        .and_then(|name| name.strip_suffix(b".tmp"));
    let random = inner.and_then(|inner| inner.rsplitn(2, |byte| *byte == b'.').next());
    random.is_some_and(|random| {
        random.len() == RANDOM_BYTES && random.iter().all(u8::is_ascii_alphanumeric)
    })
}

/// Each part with its kind and length, so that no two directories give the same stream of bytes.
fn add(hasher: &mut Sha256, kind: u8, bytes: &[u8]) {
    hasher.update([kind]);
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(path: &Path, text: &str) {
        hostfiles::replace(path, text.as_bytes(), 0o600).unwrap();
    }

    #[test]
    fn links_that_lead_back_or_out_end_and_those_that_stay_inside_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("conf");
        fs::create_dir_all(config.join("..data/inner")).unwrap();
        put(&config.join("..data/inner/text"), "first");
        symlink("..data/inner", config.join("inner")).unwrap();
        for name in ["a", "b", "c", "d", "e"] {
            symlink(".", config.join(name)).unwrap();
        }
        symlink("/", config.join("out")).unwrap();
        symlink("nowhere", config.join("dangling")).unwrap();
        let before = checksum(&config).unwrap();
        assert_eq!(checksum(&config).unwrap(), before);
        put(&config.join("..data/inner/text"), "second");
        let after = checksum(&config).unwrap();
        assert_ne!(after, before, "a change behind a link");
        put(&folder.path().join("outside"), "");
        assert_eq!(checksum(&config).unwrap(), after);
        symlink("../outside", config.join("more")).unwrap();
        assert_ne!(checksum(&config).unwrap(), after, "another link");
    }

    #[test]
    fn a_large_file_counts_by_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = fs::File::create(folder.path().join("large")).unwrap();
        file.set_len(BYTES_MAX + 1).unwrap();
        let before = checksum(folder.path()).unwrap();
        file.set_len(BYTES_MAX + 2).unwrap();
        assert_ne!(checksum(folder.path()).unwrap(), before);
    }
}
