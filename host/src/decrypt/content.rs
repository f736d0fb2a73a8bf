//! The plain files of one encrypted config: all of them, or why there are none.
//!
//! What a sync has brought is not trusted to be what it should: sizes and numbers are bounded, and no link is
//! followed but the one that a sync makes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use seal::{CONFIG_BYTES_MAX, CONFIG_FILES_MAX, Keys, OpenError, Plain, Sealed, SealedError};
use sha2::{Digest, Sha256};

use super::key::KeyFileError;

/// The link of a synced config: it leads to the directory that holds all of it.
const DATA: &str = "..data";
/// Deeper directories are not read.
const DEPTH_MAX: usize = 16;

/// Why a config cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecryptError {
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error("cannot read the encrypted config {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{file} cannot be used: {why}; {advice}")]
    Sealed {
        file: String,
        why: SealedError,
        advice: String,
    },
    #[error("{file} cannot be opened: {why}; {advice}")]
    Closed {
        file: String,
        why: OpenError,
        advice: String,
    },
    #[error("{0} is a link or no file: an encrypted config holds files and directories only")]
    Foreign(String),
    #[error(
        "the config {config} is too large to be kept in memory: an encrypted config has at most {CONFIG_FILES_MAX} files and {} KiB",
        CONFIG_BYTES_MAX / 1024
    )]
    Large { config: String },
}

/// One plain file.
#[derive(PartialEq, Eq)]
pub(super) struct PlainFile {
    pub(super) bytes: Plain,
    pub(super) is_executable: bool,
}

/// All files, by their path in the config; and the directories, each before what is in it.
pub(super) struct Content {
    pub(super) files: BTreeMap<PathBuf, PlainFile>,
    pub(super) directories: Vec<PathBuf>,
}

impl Content {
    /// Opens every file of the config in this directory.
    /// `advice` tells people how a file is encrypted to these keys.
    pub(super) fn open(config: &Path, keys: &Keys, advice: &str) -> Result<Self, DecryptError> {
        let mut walk = Walk {
            name: shown(config),
            keys,
            advice,
            bytes: 0,
            content: Self {
                files: BTreeMap::new(),
                directories: Vec::new(),
            },
        };
        // Resolved once: a sync that comes meanwhile turns the link to another directory.
        let data = match fs::read_link(config.join(DATA)) {
            Ok(data) if data.components().count() == 1 => config.join(data),
            _ => config.to_owned(),
        };
        walk.read(&data, Path::new(""))?;
        Ok(walk.content)
    }

    /// Changes when a file does, and says nothing to whoever has no key of the host: not even whether a guess
    /// was right.
    pub(super) fn mark(&self, keys: &Keys) -> String {
        let mut secret = Sha256::new_with_prefix(b"simplenetes mark of an encrypted config\0");
        secret.update(keys.to_text("").as_bytes());
        let mut outer = Sha256::new_with_prefix(secret.finalize());
        for (path, file) in &self.files {
            outer.update(Sha256::digest(path.as_os_str().as_encoded_bytes()));
            outer.update(Sha256::digest(file.bytes.as_slice()));
            outer.update([u8::from(file.is_executable)]);
        }
        let digest = Sha256::digest(outer.finalize());
        digest
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

struct Walk<'a> {
    name: String,
    keys: &'a Keys,
    advice: &'a str,
    bytes: u64,
    content: Content,
}

impl Walk<'_> {
    fn read(&mut self, directory: &Path, below: &Path) -> Result<(), DecryptError> {
        let unreadable = |error| DecryptError::Unreadable(directory.to_owned(), error);
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.file_name().as_encoded_bytes().starts_with(b"..") {
                continue;
            }
            let path = below.join(entry.file_name());
            let kind = entry.file_type().map_err(unreadable)?;
            let count = self.content.files.len() + self.content.directories.len();
            if count >= CONFIG_FILES_MAX || path.components().count() > DEPTH_MAX {
                return Err(DecryptError::Large {
                    config: self.name.clone(),
                });
            }
            if kind.is_dir() {
                self.content.directories.push(path.clone());
                self.read(&entry.path(), &path)?;
            } else if kind.is_file() {
                let file = self.open(&entry.path(), &path)?;
                self.content.files.insert(path, file);
            } else {
                return Err(DecryptError::Foreign(self.shown(&path)));
            }
        }
        Ok(())
    }

    fn open(&mut self, from: &Path, path: &Path) -> Result<PlainFile, DecryptError> {
        let unreadable = |error| DecryptError::Unreadable(from.to_owned(), error);
        let file = File::open(from).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        let mut text = Vec::new();
        file.take(CONFIG_BYTES_MAX * 2 + 1)
            .read_to_end(&mut text)
            .map_err(unreadable)?;
        let sealed = Sealed::read(&text).map_err(|why| DecryptError::Sealed {
            file: self.shown(path),
            why,
            advice: self.advice.to_owned(),
        })?;
        let opened = sealed.open(self.keys);
        let bytes = opened.map_err(|why| DecryptError::Closed {
            file: self.shown(path),
            why,
            advice: self.advice.to_owned(),
        })?;
        self.bytes += seal::in_memory(bytes.len() as u64);
        if self.bytes > CONFIG_BYTES_MAX {
            return Err(DecryptError::Large {
                config: self.name.clone(),
            });
        }
        Ok(PlainFile {
            bytes,
            is_executable: mode & 0o100 != 0,
        })
    }

    fn shown(&self, path: &Path) -> String {
        format!("config/{}/{}", self.name, path.display())
    }
}

fn shown(config: &Path) -> String {
    let name = config.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use seal::{Audience, Reader, Role};

    fn sealed(keys: &Keys, plain: &[u8]) -> Vec<u8> {
        let reader = Reader::new(Role::Host, "laptop", keys.recipient()).unwrap();
        seal::seal(plain, &Audience::from([reader]))
            .unwrap()
            .into_bytes()
    }

    /// A config with these plain files.
    pub(in crate::decrypt) fn config(keys: &Keys, files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, plain) in files {
            put(folder.path(), path, &sealed(keys, plain));
        }
        folder
    }

    fn put(config: &Path, path: &str, bytes: &[u8]) {
        let path = config.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        hostfiles::replace(&path, bytes, 0o644).unwrap();
    }

    pub(in crate::decrypt) fn open(config: &Path, keys: &Keys) -> Result<Content, DecryptError> {
        Content::open(config, keys, "call anna")
    }

    #[test]
    fn the_mark_changes_with_the_plain_files_only() {
        let keys = Keys::generate();
        let files: [(&str, &[u8]); 2] = [("db", b"one"), ("sub/.key", b"two")];
        let mark = |config: &Path| open(config, &keys).unwrap().mark(&keys);
        let (one, again) = (config(&keys, &files), config(&keys, &files));
        let before = mark(one.path());
        assert_eq!(mark(again.path()), before, "encrypted anew");
        put(again.path(), "..ignored", b"plain");
        assert_eq!(mark(again.path()), before);
        put(again.path(), "db", &sealed(&keys, b"ones"));
        assert_ne!(mark(again.path()), before);
        let renamed = config(&keys, &[("dbs", b"one"), ("sub/.key", b"two")]);
        assert_ne!(mark(renamed.path()), before);
        let program = fs::Permissions::from_mode(0o755);
        fs::set_permissions(one.path().join("db"), program).unwrap();
        assert_ne!(mark(one.path()), before);
        // The same files tell another host something else.
        let other = Keys::generate();
        let opened = open(again.path(), &keys).unwrap();
        assert_ne!(opened.mark(&other), opened.mark(&keys));
    }

    #[test]
    fn the_link_of_a_sync_is_followed_and_no_other() {
        let keys = Keys::generate();
        let folder = config(&keys, &[("..data-1/db", b"one")]);
        std::os::unix::fs::symlink("..data-1", folder.path().join(DATA)).unwrap();
        std::os::unix::fs::symlink("..data/db", folder.path().join("db")).unwrap();
        let opened = open(folder.path(), &keys).unwrap();
        assert_eq!(opened.files.len(), 1);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("..data-1/link")).unwrap();
        check(folder.path(), &keys, "config/");
        check(folder.path(), &keys, "/link is a link");
    }

    fn check(config: &Path, keys: &Keys, part: &str) {
        let line = crate::log::one_line(&open(config, keys).map(drop).unwrap_err());
        assert!(line.contains(part), "{part}: {line}");
        assert!(!line.contains("horse"), "{line}");
    }

    #[test]
    fn a_config_is_opened_whole_or_not_at_all() {
        let keys = Keys::generate();
        let folder = config(&keys, &[("db", b"correct horse")]);
        check(
            folder.path(),
            &Keys::generate(),
            "not encrypted to this key",
        );
        put(folder.path(), "plain", b"correct horse");
        check(
            folder.path(),
            &keys,
            "/plain cannot be used: it is not encrypted; call anna",
        );
        let text = sealed(&keys, b"correct horse");
        put(folder.path(), "plain", text.get(..text.len() - 40).unwrap());
        check(folder.path(), &keys, "damaged");
        put(folder.path(), "plain", &sealed(&keys, &vec![b'x'; 524_000]));
        check(folder.path(), &keys, "too large");
        check(
            &folder.path().join("gone"),
            &keys,
            "cannot read the encrypted config",
        );
    }
}
