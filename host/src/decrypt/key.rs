//! The private keys of the host: a file that only its owner may read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use names::PodName;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::geteuid;
use seal::{Keys, KeysError};
use zeroize::Zeroizing;

/// A file of keys is no longer than this, in bytes.
const BYTES_MAX: u64 = 16 * 1024;

/// Where the keys lie that open the configs of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFile {
    /// Of the host that it runs on.
    Host(PathBuf),
    /// Of the user, where it runs by itself.
    User(PathBuf),
}

impl KeyFile {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Host(path) | Self::User(path) => path,
        }
    }

    /// How a file is encrypted to these keys, for people.
    pub(super) fn advice(&self, pod: &PodName, keys: &Keys) -> String {
        match self {
            Self::Host(_) => format!("`sns secret encrypt {pod}`, then commit and sync"),
            Self::User(_) => format!("encrypt it with `age --armor -r {}`", keys.recipient()),
        }
    }
}

/// Why a key is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("there is no key at {}: `sns host init` makes that of a host, `sns secret keygen` that of a user", .0.display())]
    Missing(PathBuf),
    #[error("cannot read the key {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("the key {} {what}", .path.display())]
    Unsafe { path: PathBuf, what: &'static str },
    #[error("{} is no file of keys", .0.display())]
    Content(PathBuf, #[source] KeysError),
}

/// Reads the keys, if nobody else can.
pub(super) fn read(path: &Path) -> Result<Keys, KeyFileError> {
    let text = private_text(path)?.ok_or_else(|| KeyFileError::Missing(path.to_owned()))?;
    Keys::parse(&text).map_err(|error| KeyFileError::Content(path.to_owned(), error))
}

/// Reads a file of secrets, if nobody else can; none when there is none.
pub(crate) fn private_text(path: &Path) -> Result<Option<Zeroizing<String>>, KeyFileError> {
    // A pipe that nobody feeds must not hold anything up.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            return Err(wrong(path, "is a link: put the key itself there"));
        }
        Err(other) => return Err(KeyFileError::Unreadable(path.to_owned(), other.into())),
    };
    let unreadable = |error| KeyFileError::Unreadable(path.to_owned(), error);
    let file = File::from(file);
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(wrong(path, "is no regular file"));
    }
    if meta.uid() != geteuid().as_raw() {
        return Err(wrong(path, "belongs to another user than the daemon's"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(wrong(path, "can be read by others: `chmod 600` it"));
    }
    let mut text = Zeroizing::new(String::with_capacity(1024));
    file.take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(Some(text))
}

fn wrong(path: &Path, what: &'static str) -> KeyFileError {
    KeyFileError::Unsafe {
        path: path.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::one_line;

    fn check(path: &Path, part: &str) {
        let line = one_line(&read(path).unwrap_err());
        assert!(line.contains(part), "{line}");
        let shown = line.split("AGE-SECRET-KEY-1").nth(1);
        assert!(shown.is_none_or(|rest| rest.starts_with('…')), "{line}");
    }

    #[test]
    fn only_a_key_that_nobody_else_can_read_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("age-key.txt");
        check(&path, "`sns host init`");
        let keys = Keys::generate();
        let text = keys.to_text("of a test");
        for mode in [0o640, 0o604, 0o666] {
            hostfiles::replace(&path, text.as_bytes(), mode).unwrap();
            check(&path, "chmod 600");
        }
        hostfiles::replace(&path, text.as_bytes(), 0o600).unwrap();
        assert_eq!(read(&path).unwrap().recipient(), keys.recipient());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        check(&link, "is a link");
        check(folder.path(), "no regular file");
        let cut = text.get(..text.len() - 5).unwrap();
        hostfiles::replace(&path, cut.as_bytes(), 0o600).unwrap();
        check(&path, "line 3 is no age identity");
    }
}
