//! Makes files of encrypted configs what they should be. What is so already keeps its bytes: an encryption is
//! another text each time, and git should show what has changed only.

use seal::{Audience, Keys, Plain, Sealed};
use zeroize::Zeroizing;

use super::check::{Finding, State, check};
use super::configs::EncryptedFile;
use super::{OperatorKey, SecretPath};
use crate::command_error::CommandError;
use crate::config_dirs;
use crate::project::Cluster;

/// What is done to a file.
pub(crate) struct Change {
    /// The file.
    pub(crate) file: EncryptedFile,
    /// What it was before.
    pub(crate) before: Finding,
    text: String,
}

impl Change {
    /// Writes it.
    pub(crate) fn apply(&self) -> Result<(), CommandError> {
        let mode = if self.file.is_executable {
            0o755
        } else {
            0o644
        };
        hostfiles::replace(&self.file.path, self.text.as_bytes(), mode)?;
        Ok(())
    }
}

/// What has to be done to these files. The key is read only when something has to be opened; when one file cannot be
/// opened there is no change at all.
pub(crate) fn encrypt(
    files: Vec<EncryptedFile>,
    audience: &Audience,
    key: &OperatorKey,
) -> Result<Vec<Change>, CommandError> {
    let mut keys = None;
    let mut changes = Vec::new();
    for file in files {
        let before = check(&file, audience);
        let plain = match before.state {
            State::Good => continue,
            State::Unsealed(seal::SealedError::Plain) => Zeroizing::new(file.bytes.clone()),
            State::Unsealed(error) => return Err(unusable(&file.name, error)),
            State::Unknown | State::Other(..) => {
                if keys.is_none() {
                    keys = Some(key.read()?);
                }
                match &keys {
                    Some(keys) => open(&file, keys, key)?,
                    None => continue,
                }
            }
        };
        let text = sealed(&file.name, &plain, audience)?;
        changes.push(Change { file, before, text });
    }
    Ok(changes)
}

/// Opens one file.
pub(crate) fn open(
    file: &EncryptedFile,
    keys: &Keys,
    key: &OperatorKey,
) -> Result<Plain, CommandError> {
    let sealed = Sealed::read(&file.bytes).map_err(|error| unusable(&file.name, error))?;
    sealed.open(keys).map_err(|error| {
        let readers = sealed.readers().into_iter().flatten();
        CommandError::mistake(format!(
            "could not open {} with the key {}",
            file.name,
            key.path().display()
        ))
        .caused_by(error)
        .listing(readers.map(|reader| format!("it is encrypted to {reader}")))
        .hint("one of these operators has to encrypt it anew: sns secret operator add, sns secret encrypt")
    })
}

/// Puts a plain value into a file of a config, which may not exist yet. Gives false when it holds that already.
pub(crate) fn put(
    cluster: &Cluster<'_>,
    name: &SecretPath,
    plain: &[u8],
    audience: &Audience,
    key: &OperatorKey,
) -> Result<bool, CommandError> {
    let config = cluster
        .files
        .config_dir(&name.pod)
        .join(name.config.as_str());
    let path = config.join(&name.file);
    let is_executable = std::fs::metadata(&path).is_ok_and(|meta| {
        std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o100 != 0
    });
    if let Ok(bytes) = std::fs::read(&path) {
        let file = EncryptedFile {
            name: name.clone(),
            path,
            bytes,
            is_executable,
        };
        let is_good = check(&file, audience).state == State::Good;
        if is_good
            && let Some(keys) = key.read_if_present()?
            && open(&file, &keys, key).is_ok_and(|known| known.as_slice() == plain)
        {
            return Ok(false);
        }
    }
    let text = sealed(name, plain, audience)?;
    config_dirs::write(&config, &name.file, text.as_bytes(), is_executable)?;
    Ok(true)
}

fn sealed(name: &SecretPath, plain: &[u8], audience: &Audience) -> Result<String, CommandError> {
    seal::seal(plain, audience).map_err(|error| {
        CommandError::mistake(format!("could not encrypt {name}")).caused_by(error)
    })
}

fn unusable(name: &SecretPath, error: seal::SealedError) -> CommandError {
    CommandError::mistake(format!("{name} cannot be used"))
        .caused_by(error)
        .hint("bring it back from git, or set it anew with `sns secret set`")
}
