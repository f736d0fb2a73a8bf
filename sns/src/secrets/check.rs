//! Whether the files of encrypted configs are what they should be: encrypted, and to the right readers. No key is
//! needed to tell.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use names::{PodName, VolumeName};
use seal::{Audience, Reader, Sealed, SealedError};

use super::SecretPath;
use super::configs::{EncryptedFile, files_in};
use crate::command_error::CommandError;
use crate::project::{Cluster, Host};

/// What is true of one file.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// The file.
    pub(crate) name: SecretPath,
    /// How it is encrypted.
    pub(crate) state: State,
    /// Who can read it, as far as the file says.
    pub(crate) readers: Audience,
}

/// How a file is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// To those who should be able to read it, and to nobody else.
    Good,
    /// Not, or damaged.
    Unsealed(SealedError),
    /// By another program, which does not say to whom.
    Unknown,
    /// To others: who should be able to read it and is not, and who is and should not.
    Other(Vec<Reader>, Vec<Reader>),
}

impl State {
    /// One word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Unsealed(SealedError::Plain) => "plain",
            Self::Unsealed(_) => "damaged",
            Self::Unknown => "unknown",
            Self::Other(..) => "outdated",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |readers: &[Reader]| {
            let names: Vec<String> = readers.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        match self {
            Self::Good => f.write_str("it is encrypted to the right readers"),
            Self::Unsealed(error) => error.fmt(f),
            Self::Unknown => f.write_str(
                "it does not say to whom it is encrypted: another program has done that",
            ),
            Self::Other(missing, extra) if extra.is_empty() => {
                write!(f, "it is not encrypted to {}", list(missing))
            }
            Self::Other(missing, extra) if missing.is_empty() => {
                write!(f, "it is still encrypted to {}", list(extra))
            }
            Self::Other(missing, extra) => {
                let (missing, extra) = (list(missing), list(extra));
                write!(f, "it is not encrypted to {missing}, and still to {extra}")
            }
        }
    }
}

/// Looks at one file.
pub(crate) fn check(file: &EncryptedFile, audience: &Audience) -> Finding {
    let (state, readers) = match Sealed::read(&file.bytes) {
        Err(error) => (State::Unsealed(error), None),
        Ok(sealed) => match sealed.readers() {
            None => (State::Unknown, None),
            Some(readers) => (compare(readers, audience), Some(readers.clone())),
        },
    };
    Finding {
        name: file.name.clone(),
        state,
        readers: readers.unwrap_or_default(),
    }
}

fn compare(readers: &Audience, audience: &Audience) -> State {
    if readers == audience {
        return State::Good;
    }
    let missing = audience.difference(readers).cloned().collect();
    State::Other(missing, readers.difference(audience).cloned().collect())
}

/// Refuses a release for a host that could not read its encrypted configs. `configs` is the directory that they lie
/// in.
pub(crate) fn check_for_host(
    cluster: &Cluster<'_>,
    host: &Host,
    pod: &podspec::CompiledPod,
    configs: &Path,
) -> Result<(), CommandError> {
    let names: BTreeSet<VolumeName> = super::configs::of_compiled(pod).collect();
    if names.is_empty() {
        return Ok(());
    }
    let own = super::audience::recipient(cluster, host)?;
    let own = own.ok_or_else(|| super::audience::no_key(host))?;
    let mut wrong = Vec::new();
    for name in &names {
        let directory = configs.join(name.as_str());
        if !directory.is_dir() {
            continue;
        }
        for file in files_in(&directory, &pod.pod, name)? {
            let state = check(&file, &Audience::new()).state;
            let can_read = |readers: &[Reader]| {
                let mut keys = readers.iter().map(Reader::recipient);
                keys.any(|key| *key == own)
            };
            match &state {
                State::Other(_, readers) if can_read(readers) => {}
                State::Other(..) | State::Good => {
                    wrong.push(format!(
                        "{}: it is not encrypted to host {}",
                        file.name, host.name
                    ));
                }
                State::Unsealed(_) | State::Unknown => {
                    wrong.push(format!("{}: {state}", file.name));
                }
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(refused(&pod.pod, host).listing(wrong).hint(format!(
        "encrypt them with `sns secret encrypt {}`",
        pod.pod
    )))
}

fn refused(pod: &PodName, host: &Host) -> CommandError {
    CommandError::mistake(format!(
        "encrypted configs of pod {pod} are not ready for host {}",
        host.name
    ))
}
