//! `programs.txt`: the programs that a host gets from the project instead of those that were installed with the
//! daemon, `NAME SHA256` in each line. `#` begins a comment.
//!
//! The programs themselves lie in `_programs/` of the project, and in `programs/` of the host home.

use std::collections::BTreeMap;

use crate::{Format, FormatError};

/// Longest name of a program.
const NAME_LENGTH_MAX: usize = 64;

/// Programs by name, each with the SHA-256 of its file as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Programs(pub BTreeMap<String, String>);

impl Programs {
    /// Whether a name can be that of a program: a plain word, as a file name.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        (1..=NAME_LENGTH_MAX).contains(&name.len())
            && !name.starts_with(['.', '-'])
            && name.chars().all(is_plain)
    }

    /// The name of the file in `_programs/` of the project.
    #[must_use]
    pub fn file_name(name: &str, digest: &str) -> String {
        let short: String = digest.chars().take(12).collect();
        format!("{name}-{short}")
    }
}

impl Format for Programs {
    const NAME: &'static str = "programs.txt";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let expected = "a name and a SHA-256, as in `sns-proxy 9f86d0…`, each name once";
        let mut programs = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refused = || FormatError::at::<Self>(number, line, expected);
            let (name, digest) = line.split_once(char::is_whitespace).ok_or_else(refused)?;
            let digest = digest.trim();
            let is_digest = digest.len() == 64
                && digest
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            let is_known = programs
                .insert(name.to_owned(), digest.to_owned())
                .is_some();
            if !Self::is_name(name) || !is_digest || is_known {
                return Err(refused());
            }
        }
        Ok(Self(programs))
    }

    fn to_text(&self) -> String {
        let lines = self.0.iter();
        lines
            .map(|(name, digest)| format!("{name} {digest}\n"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_of_programs_is_refused_with_its_line() {
        let digest = "a".repeat(64);
        let good = Programs::parse(&format!("# ours\n\nsns-proxy {digest}\n")).unwrap();
        assert_eq!(Programs::parse(&good.to_text()).unwrap(), good);
        for line in [
            "sns-proxy".to_owned(),
            format!("../x {digest}"),
            format!(".x {digest}"),
            "x abc".to_owned(),
            format!("x {digest}\nx {digest}"),
        ] {
            let error = Programs::parse(&line).unwrap_err();
            assert!(error.line.is_some(), "{line}");
        }
    }
}
