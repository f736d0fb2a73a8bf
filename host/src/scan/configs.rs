//! The checksum of a config: of the names and the content of its files, so that a file which is
//! written again with the same content is no change. Hidden names are part of a config, except those
//! that begin with `..`: the links of a synced config lead through them.

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Deeper directories are not looked at: a link may lead back up.
const DEPTH_MAX: u32 = 16;

/// So many random characters has the name of a file that is written beside another.
const RANDOM_BYTES: usize = 6;

/// The SHA-256 of everything in the directory that is part of the config, in hexadecimal.
pub(super) fn checksum(directory: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    add_directory(&mut hasher, directory, 0)?;
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn add_directory(hasher: &mut Sha256, directory: &Path, depth: u32) -> io::Result<()> {
    let mut names: Vec<_> = fs::read_dir(directory)?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    for name in names.iter().filter(|name| is_part(name.as_encoded_bytes())) {
        let path = directory.join(name);
        let meta = fs::metadata(&path)?;
        if meta.is_dir() && depth < DEPTH_MAX {
            add(hasher, b'd', name.as_encoded_bytes());
            add_directory(hasher, &path, depth + 1)?;
            add(hasher, b'e', b"");
        } else if meta.is_file() {
            add(hasher, b'f', name.as_encoded_bytes());
            add(hasher, b'c', &fs::read(&path)?);
        }
    }
    Ok(())
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
