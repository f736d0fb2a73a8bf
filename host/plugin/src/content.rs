//! What the daemon puts together when a step runs: bytes of the plugin, and secrets of the host by name.
//!
//! Only the names are known here. What a secret holds never comes into this crate, so neither a recorded plan
//! nor its debug form can show it.

use names::SecretName;
use serde::{Deserialize, Serialize};

/// What a content and each of its parts take before their text: empty ones take memory too.
const OWN_BYTES: usize = 32;

/// Bytes and secrets in the order in which they are put together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Content(pub Vec<Part>);

/// One part of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the host's secret of this name holds when the step runs.
    Secret(SecretName),
}

impl Content {
    /// The secrets that are filled in.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.0.iter().filter_map(|part| match part {
            Part::Bytes(_) => None,
            Part::Secret(name) => Some(name),
        })
    }

    /// Bytes that recording it takes.
    pub(crate) fn size(&self) -> usize {
        OWN_BYTES + self.0.iter().map(Part::size).sum::<usize>()
    }

    /// The word that stands for it where arguments and variables are compared with a grant; none when it
    /// cannot be one, because its bytes are no text.
    pub(crate) fn word(&self) -> Option<String> {
        let part = |part: &Part| match part {
            Part::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes).ok();
                text.filter(|text| is_plain(text)).map(str::to_owned)
            }
            Part::Secret(name) => Some(secret_word(name)),
        };
        self.0.iter().map(part).collect()
    }
}

impl Part {
    /// Bytes that recording it takes.
    pub(crate) fn size(&self) -> usize {
        let text = match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Secret(name) => name.as_str().len(),
        };
        OWN_BYTES + text
    }
}

/// What stands for a secret in such a word. No argument and no variable can hold a NUL, so nothing that a plugin
/// or a pod writes is taken for it.
pub(crate) fn secret_word(name: &SecretName) -> String {
    format!("\0secret:{name}\0")
}

/// The word as an author would write it in a grant.
pub(crate) fn shown(word: &str) -> String {
    let mut inside = false;
    let letters = word.chars().map(|letter| match letter {
        '\0' => {
            inside = !inside;
            if inside { '{' } else { '}' }
        }
        other => other,
    });
    letters.collect()
}

/// True for what can be an argument or a variable.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_its_secrets_and_cannot_be_imitated() {
        let secret = Part::Secret("db".parse().unwrap());
        let text = |text: &str| Part::Bytes(text.into());
        let content = Content(vec![text("--password="), secret.clone()]);
        let word = content.word().unwrap();
        assert_eq!(shown(&word), "--password={secret:db}");
        assert_eq!(
            word,
            format!("--password={}", secret_word(&"db".parse().unwrap()))
        );
        assert!(!is_plain(&word));
        assert_eq!(Content(vec![text("\0secret:db\0")]).word(), None);
        assert_eq!(Content(vec![Part::Bytes(vec![0xff])]).word(), None);
        assert_eq!(content.secrets().count(), 1);
    }
}
