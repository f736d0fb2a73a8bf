//! Who a server is: the key that it shows against those that the project has pinned.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use hostfiles::{SshHostKey, SshHostKeys};
use russh::client::{self, DisconnectReason};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::error::HopError;
use super::route::Hop;

/// The file of a host's folder with the keys of its SSH server.
const FILE: &str = "host-key.txt";

/// The fingerprint of a key as OpenSSH prints it: `SHA256:…`.
pub(crate) fn fingerprint(key: &SshHostKey) -> String {
    match PublicKey::from_bytes(key.blob()) {
        Ok(key) => key.fingerprint(HashAlg::Sha256).to_string(),
        Err(_) => "of a kind that is not known".to_owned(),
    }
}

/// Kind and fingerprint of a key.
pub(super) fn shown(key: &SshHostKey) -> String {
    format!("{} {}", key.kind(), fingerprint(key))
}

/// The keys that the project has for the host of this hop.
pub(super) fn pinned(hop: &Hop) -> Result<SshHostKeys, HopError> {
    Ok(hostfiles::read_if_present(&hop.folder.join(FILE))?.unwrap_or_default())
}

/// Why a key that was shown is refused.
pub(super) fn refusal(hop: &Hop, pinned: &SshHostKeys, key: &SshHostKey) -> HopError {
    let folder = hop.folder.file_name().unwrap_or_default();
    let host = folder.to_string_lossy().into_owned();
    let (address, file) = (hop.place(), format!("{host}/{FILE}"));
    let shown_key = shown(key);
    if pinned.0.is_empty() {
        return HopError::Unpinned {
            address,
            file,
            shown: shown_key,
            host,
        };
    }
    HopError::Changed {
        address,
        file,
        shown: shown_key,
        pinned: pinned.0.iter().map(shown).collect(),
        host,
    }
}

/// The kinds of keys to ask for: those that are pinned first, so that a server shows one of them if it can.
pub(super) fn algorithms(pinned: &SshHostKeys) -> Cow<'static, [Algorithm]> {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    let rsa = |hash| Algorithm::Rsa { hash: Some(hash) };
    // Not `ssh-rsa`, which signs with SHA-1.
    let mut all = vec![
        Algorithm::Ed25519,
        ecdsa(EcdsaCurve::NistP256),
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        rsa(HashAlg::Sha512),
        rsa(HashAlg::Sha256),
    ];
    let is_pinned = |algorithm: &Algorithm| {
        let kind = match algorithm {
            Algorithm::Rsa { .. } => "ssh-rsa",
            other => other.as_str(),
        };
        pinned.0.iter().any(|key| key.kind() == kind)
    };
    all.sort_by_key(|algorithm| !is_pinned(algorithm));
    Cow::Owned(all)
}

/// What is known about a connection, shared with the task that carries it.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    shown: Option<SshHostKey>,
    end: Option<String>,
}

impl Fate {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The key that the server has shown and proved to have.
    pub(super) fn shown(&self) -> Option<SshHostKey> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.shown.clone()
    }

    /// Why the connection ended.
    pub(super) fn why(&self) -> String {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .end
            .clone()
            .unwrap_or_else(|| "it was closed".to_owned())
    }
}

/// Looks at what happens on a connection, and lets it go on only with a server that is known.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) pinned: SshHostKeys,
    pub(super) fate: Fate,
}

impl client::Handler for Watcher {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let blob = key.public_key().to_bytes()?;
        let key = SshHostKey::new(blob).map_err(|_| russh::Error::CouldNotReadKey)?;
        let is_known = self.pinned.0.contains(&key);
        self.fate.change(|state| state.shown = Some(key));
        Ok(is_known)
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        let (why, result) = match reason {
            DisconnectReason::ReceivedDisconnect(said) => (visible(&said.message), Ok(())),
            DisconnectReason::Error(error) => (end(&error), Err(error)),
        };
        self.fate.change(|state| state.end = Some(why));
        result
    }
}

fn end(error: &russh::Error) -> String {
    match error {
        russh::Error::KeepaliveTimeout => "nothing was heard from it any more".to_owned(),
        russh::Error::HUP | russh::Error::Disconnect => "it was closed at the other end".to_owned(),
        other => other.to_string(),
    }
}

/// A foreign text without what would move the cursor of a terminal.
pub(super) fn visible(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_kinds_come_first() {
        let key = |kind: &[u8]| {
            let length = u8::try_from(kind.len()).unwrap();
            SshHostKey::new([&[0, 0, 0, length], kind, b"x"].concat()).unwrap()
        };
        let first = |kind: &[u8]| algorithms(&SshHostKeys(vec![key(kind)]))[0].to_string();
        assert_eq!(first(b"ecdsa-sha2-nistp384"), "ecdsa-sha2-nistp384");
        assert_eq!(first(b"ssh-rsa"), "rsa-sha2-512");
        assert_eq!(first(b"ssh-unknown"), "ssh-ed25519");
    }
}
