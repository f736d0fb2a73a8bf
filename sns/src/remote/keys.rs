//! Key files: read once per command, opened with a passphrase that is asked for once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::{PrivateKey, PublicKey, decode_secret_key, load_public_key};
use zeroize::Zeroizing;

use super::prompt;

/// Larger than any key.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// How often a passphrase may be wrong.
const PASSPHRASES_MAX: usize = 3;

/// A key file as it lies there.
#[derive(Debug, Clone)]
pub(super) enum KeyFile {
    /// It is not there.
    Missing,
    /// Anybody who can read it has it.
    Open(Arc<PrivateKey>),
    /// It wants a passphrase. The public key is known when it stands in the file or in `FILE.pub`.
    Locked(Option<Box<PublicKey>>),
}

/// Why a key file is of no use.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum KeyError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(String),
    /// It is no private key.
    #[error("it is no private key that can be used: {0}")]
    Format(String),
    /// Its passphrase cannot be asked for.
    #[error("it wants a passphrase, and there is no terminal to ask for it")]
    NoTerminal,
    /// Nobody wanted to answer.
    #[error("its passphrase was not given")]
    Unanswered,
    /// The passphrase was wrong.
    #[error("the passphrase was wrong {PASSPHRASES_MAX} times")]
    Passphrase,
}

/// All keys of one command. Private keys are wiped from memory with it.
#[derive(Debug, Default)]
pub(super) struct Keys {
    // Held while a passphrase is asked for: there is one terminal.
    opened: Mutex<HashMap<PathBuf, Result<Arc<PrivateKey>, KeyError>>>,
}

impl Keys {
    /// Looks into a key file, and asks nothing. A key that was opened already is open.
    pub(super) fn look(&self, path: &Path) -> Result<KeyFile, KeyError> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(path) {
            return known.clone().map(KeyFile::Open);
        }
        drop(opened);
        let Some(text) = read(path)? else {
            return Ok(KeyFile::Missing);
        };
        if is_locked(&text) {
            return Ok(KeyFile::Locked(public(path, &text).map(Box::new)));
        }
        match decode_secret_key(&text, None) {
            Ok(key) => Ok(KeyFile::Open(Arc::new(key))),
            Err(error) => Err(KeyError::Format(error.to_string())),
        }
    }

    /// Opens a key file that wants a passphrase. Whoever wants the same key meanwhile waits for the answer.
    pub(super) fn unlock(&self, path: &Path) -> Result<Arc<PrivateKey>, KeyError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.get(path) {
            return known.clone();
        }
        let result = ask(path).map(Arc::new);
        opened.insert(path.to_owned(), result.clone());
        result
    }
}

/// What would have to be said about the permissions of a key file.
pub(super) fn exposed(path: &Path) -> Option<String> {
    let mode = path.metadata().ok()?.mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let path = path.display();
        format!("the key file {path} is open to others (mode {mode:03o}); close it with `chmod 600 {path}`")
    })
}

fn ask(path: &Path) -> Result<PrivateKey, KeyError> {
    let text = read(path)?.ok_or_else(|| KeyError::Read("it has gone".to_owned()))?;
    let question = format!("Passphrase of {}: ", path.display());
    for _ in 0..PASSPHRASES_MAX {
        let passphrase = prompt::ask(&question).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData => KeyError::Unanswered,
            _ => KeyError::NoTerminal,
        })?;
        if let Ok(key) = decode_secret_key(&text, Some(&passphrase)) {
            return Ok(key);
        }
    }
    Err(KeyError::Passphrase)
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, KeyError> {
    let failed = |error: io::Error| KeyError::Read(error.to_string());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // Reserved at once: a text that grows would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(
        usize::try_from(KEY_BYTES_MAX).unwrap_or_default(),
    ));
    file.take(KEY_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(Some(text))
}

fn is_locked(text: &str) -> bool {
    let is_pem =
        text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED");
    is_pem || PrivateKey::from_openssh(text).is_ok_and(|key| key.is_encrypted())
}

fn public(path: &Path, text: &str) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return Some(key.public_key().clone());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    load_public_key(beside).ok()
}
