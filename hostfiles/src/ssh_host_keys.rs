//! `host-key.txt` of a host's folder in the project: by which keys its SSH server proves who it is. Written by
//! `sns host register` and `sns host trust`, read by whatever connects.
//!
//! One public key of OpenSSH per line, as `ssh-keyscan` and `ssh_host_*_key.pub` have them. Several stand there
//! while a host changes its key. Must not know what a digest is: fingerprints are made where keys are compared.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Format, FormatError};

/// More keys of one host than this are a mistake: a server has one of each kind, and two while it changes them.
pub const SSH_HOST_KEYS_MAX: usize = 16;

/// The public key of an SSH server: the name of its kind, and the bytes that servers and clients compare
/// (RFC 4253, section 6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHostKey {
    kind: String,
    blob: Vec<u8>,
}

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key as OpenSSH writes it: ssh-ed25519 AAAAC3Nza…")]
pub struct NotAnSshHostKey;

impl SshHostKey {
    /// The key of these bytes, which begin with the name of its kind.
    ///
    /// # Errors
    /// They do not.
    pub fn new(blob: Vec<u8>) -> Result<Self, NotAnSshHostKey> {
        let kind = kind_of(&blob).ok_or(NotAnSshHostKey)?.to_owned();
        Ok(Self { kind, blob })
    }

    /// The kind, as in `ssh-ed25519`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The bytes that are compared.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }
}

/// The name in front: its length in four bytes, and printable characters without blanks.
fn kind_of(blob: &[u8]) -> Option<&str> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (name, key) = rest.split_at_checked(length)?;
    let name = std::str::from_utf8(name).ok()?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    (is_name && !name.starts_with('#') && !key.is_empty()).then_some(name)
}

impl FromStr for SshHostKey {
    type Err = NotAnSshHostKey;

    /// What stands behind the key is a comment and counts for nothing.
    fn from_str(line: &str) -> Result<Self, NotAnSshHostKey> {
        let mut words = line.split_whitespace();
        let (kind, text) = (words.next(), words.next().ok_or(NotAnSshHostKey)?);
        let blob = STANDARD.decode(text).map_err(|_| NotAnSshHostKey)?;
        Self::new(blob).and_then(|key| match Some(key.kind()) == kind {
            true => Ok(key),
            false => Err(NotAnSshHostKey),
        })
    }
}

impl fmt::Display for SshHostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, STANDARD.encode(&self.blob))
    }
}

/// The keys of one host, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SshHostKeys(pub Vec<SshHostKey>);

impl Format for SshHostKeys {
    const NAME: &'static str = "host-key.txt";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut keys: Vec<SshHostKey> = Vec::new();
        let lines = (1..).zip(text.lines().map(str::trim));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let refused = |expected: String| FormatError::at::<Self>(number, line, expected);
            let key = line
                .parse()
                .map_err(|error: NotAnSshHostKey| refused(error.to_string()))?;
            if keys.contains(&key) {
                return Err(refused("each key once".to_owned()));
            }
            if keys.len() == SSH_HOST_KEYS_MAX {
                return Err(refused(format!("{SSH_HOST_KEYS_MAX} keys at most")));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    fn to_text(&self) -> String {
        self.0.iter().map(|key| format!("{key}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN+Wjn4+4Fcvl2JlKpggT+wCRxpSvtqqpVrQrKN1/A22";

    #[test]
    fn what_openssh_writes_is_read() {
        let text = format!("# made by a test\n\n{LINE} root@worker1 of the cluster\n");
        let keys = SshHostKeys::parse(&text).unwrap();
        assert_eq!(keys.to_text(), format!("{LINE}\n"));
        assert_eq!(keys.0[0].kind(), "ssh-ed25519");
        assert_eq!(keys.0[0].blob().len(), 51);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line() {
        let check = |text: &str| {
            let error = SshHostKeys::parse(text).unwrap_err();
            assert_eq!(error.line, Some(1), "{text}");
        };
        check("ssh-ed25519");
        check("ssh-ed25519 !!!!");
        check(&format!("worker1 {LINE}"));
        check(&LINE.replace("ssh-ed25519", "ssh-rsa"));
        check("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5");
        let twice = SshHostKeys::parse(&format!("{LINE}\n{LINE} again\n")).unwrap_err();
        assert_eq!(
            (twice.line, twice.expected.as_str()),
            (Some(2), "each key once")
        );
    }
}
