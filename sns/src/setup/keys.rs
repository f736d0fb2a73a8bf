//! Key files of the operator's side: read, or made where they are missing.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, load_public_key};
use zeroize::Zeroizing;

use crate::command_error::{CommandError, Kind};
use crate::ui::Ui;

/// A private key in the project, and its public half beside it.
#[derive(Debug, Clone)]
pub(crate) struct KeyPair {
    path: PathBuf,
}

impl KeyPair {
    /// The one at this path, which need not be there.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The public line; none when there is no such key.
    pub(super) fn public(&self) -> Result<Option<String>, CommandError> {
        let beside = self.beside();
        let failed = |error: &dyn std::fmt::Display| {
            CommandError::new(
                Kind::Diagnostics,
                format!("could not tell the public key of {}", self.path.display()),
            )
            .caused_by(error.to_string())
            .hint(format!(
                "write it into {}, as OpenSSH does",
                beside.display()
            ))
        };
        if beside.is_file() {
            let key = load_public_key(&beside).map_err(|error| failed(&error))?;
            return Ok(Some(key.to_openssh().map_err(|error| failed(&error))?));
        }
        if !self.path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&self.path).map(Zeroizing::new);
        let text = text.map_err(|error| failed(&error))?;
        // The public half is readable without the passphrase.
        let key = PrivateKey::from_openssh(text.as_str()).map_err(|error| failed(&error))?;
        let public = key.public_key().to_openssh();
        Ok(Some(public.map_err(|error| failed(&error))?))
    }

    /// The public line of the key, which is made when it is missing and that is wanted. Otherwise a word that stands for it
    /// in a plan that is only shown.
    pub(crate) fn ensure(
        &self,
        ui: &Ui,
        comment: &str,
        makes: bool,
    ) -> Result<String, CommandError> {
        if let Some(public) = self.public()? {
            return Ok(public);
        }
        let shown = self.path.display();
        if !makes {
            ui.note(&format!("would make the key {shown}"));
            return Ok("ssh-ed25519 of-that-key".to_owned());
        }
        let public = self.make(comment)?;
        ui.done(&format!("made the key {shown}"));
        ui.hint("it has no passphrase: keep it out of git, unless all who read the project may log in with it");
        Ok(public)
    }

    /// Makes an Ed25519 key without a passphrase, and gives its public line.
    fn make(&self, comment: &str) -> Result<String, CommandError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            CommandError::files(
                format!("could not make the key {}", self.path.display()),
                error,
            )
        };
        let mut seed = Zeroizing::new([0; 32]);
        let random =
            fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut *seed));
        random.map_err(|error| failed(error.into()))?;
        let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
        key.set_comment(comment);
        let private = key
            .to_openssh(LineEnding::LF)
            .map_err(|error| failed(error.into()))?;
        let public = key
            .public_key()
            .to_openssh()
            .map_err(|error| failed(error.into()))?;
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory).map_err(|error| failed(error.into()))?;
        }
        hostfiles::replace(&self.path, private.as_bytes(), 0o600)?;
        hostfiles::replace(&self.beside(), format!("{public}\n").as_bytes(), 0o644)?;
        Ok(public)
    }

    fn beside(&self) -> PathBuf {
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".pub");
        beside.into()
    }
}

/// The public keys of a directory (`*.pub`), sorted; one that is not there has none.
pub(crate) fn extra_keys(directory: &Path) -> Result<Vec<String>, CommandError> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(Vec::new());
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "pub"))
        .collect();
    paths.sort();
    let mut lines = Vec::new();
    for path in paths {
        let wrong = |error: &dyn std::fmt::Display| {
            CommandError::new(
                Kind::Diagnostics,
                format!("{} is no public key", path.display()),
            )
            .caused_by(error.to_string())
        };
        let key = load_public_key(&path).map_err(|error| wrong(&error))?;
        lines.push(key.to_openssh().map_err(|error| wrong(&error))?);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::at(folder.path().join("host/id_rsa"));
        assert_eq!(pair.public().unwrap(), None);
        let public = pair.make("sns worker1").unwrap();
        assert!(
            public.starts_with("ssh-ed25519 ") && public.ends_with(" sns worker1"),
            "{public}"
        );
        assert_eq!(pair.public().unwrap(), Some(public.clone()));
        let mode = fs::metadata(&pair.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(folder.path().join("host/id_rsa.pub")).unwrap();
        assert_eq!(pair.public().unwrap(), Some(public.clone()));
        assert_eq!(extra_keys(&folder.path().join("none")).unwrap(), [""; 0]);
        fs::remove_file(&pair.path).unwrap();
        pair.make("other").unwrap();
        assert_eq!(extra_keys(&folder.path().join("host")).unwrap().len(), 1);
    }
}
