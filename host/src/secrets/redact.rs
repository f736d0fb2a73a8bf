//! Takes secrets out of what programs write, before anybody is told.
//!
//! This is a second line: the daemon itself hands no secret to a plugin. A program that is given one and writes
//! it in another form (reversed, encoded, one letter per line) is not caught.

use std::collections::HashMap;
use std::fmt;

/// What stands in the place of a secret.
const MARK: &[u8] = b"[secret]";
/// What is shorter is not looked for: it would be found everywhere.
pub(super) const LENGTH_MIN: usize = 8;

type Beginning = [u8; LENGTH_MIN];

/// What is looked for: secrets, and each line of those that have several.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    /// By how they begin; the longest first.
    patterns: HashMap<Beginning, Vec<Vec<u8>>>,
}

impl Redaction {
    /// Looks for these secrets.
    pub(super) fn of<'a>(secrets: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut redaction = Self::default();
        for secret in secrets {
            redaction.add(secret.trim_ascii());
            for line in secret.split(|byte| *byte == b'\n') {
                redaction.add(line.trim_ascii());
            }
        }
        for patterns in redaction.patterns.values_mut() {
            patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.len()));
            patterns.dedup();
        }
        redaction
    }

    fn add(&mut self, pattern: &[u8]) {
        if let Some(beginning) = pattern.first_chunk() {
            let known = self.patterns.entry(*beginning).or_default();
            known.push(pattern.to_vec());
        }
    }

    /// True when nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// These bytes without secrets. Only whole ones count: otherwise a plugin that has a program write
    /// what it likes could find a secret byte by byte.
    #[must_use]
    pub fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.replaced(bytes, <[u8]>::starts_with)
    }

    /// This line, which people are shown and which may be cut, without secrets. One in whose midst the line
    /// ends counts as well; no plugin is told.
    #[must_use]
    pub fn line(&self, line: &str) -> String {
        let clean = self.replaced(line.as_bytes().to_vec(), |here, pattern| {
            here.starts_with(pattern) || pattern.starts_with(here)
        });
        String::from_utf8_lossy(&clean).into_owned()
    }

    fn replaced(&self, bytes: Vec<u8>, fits: impl Fn(&[u8], &[u8]) -> bool) -> Vec<u8> {
        if self.is_empty() {
            return bytes;
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some((first, behind)) = rest.split_first() {
            if let Some(length) = self.found(rest, &fits) {
                clean.extend_from_slice(MARK);
                rest = rest.get(length..).unwrap_or_default();
            } else {
                clean.push(*first);
                rest = behind;
            }
        }
        clean
    }

    /// The length of the secret that stands here.
    fn found(&self, here: &[u8], fits: impl Fn(&[u8], &[u8]) -> bool) -> Option<usize> {
        let patterns = self.patterns.get(here.first_chunk::<LENGTH_MIN>()?)?;
        let pattern = patterns.iter().find(|pattern| fits(here, pattern))?;
        Some(pattern.len().min(here.len()))
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redaction({})", self.patterns.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secrets: &[&str], text: &str, expected: &str) {
        let redaction = Redaction::of(secrets.iter().map(|secret| secret.as_bytes()));
        let bytes = redaction.bytes(text.as_bytes().to_vec());
        assert_eq!(redaction.line(text), expected, "{secrets:?} in {text}");
        assert_eq!(bytes, expected.as_bytes(), "{secrets:?} in {text}");
    }

    #[test]
    fn secrets_are_taken_out_wherever_they_stand() {
        let one = &["correct horse\n"][..];
        check(one, "", "");
        check(one, "nothing here", "nothing here");
        check(one, "correct horse", "[secret]");
        check(one, "a correct horsecorrect horse.", "a [secret][secret].");
        check(one, "correct house", "correct house");
        check(one, "correct correct horse", "correct [secret]");
        let two = &["12345678", "1234567890"][..];
        check(two, "x12345678y1234567890z", "x[secret]y[secret]z");
        check(&[], "correct horse", "correct horse");
    }

    #[test]
    fn a_line_that_was_cut_in_a_secret_is_not_shown_and_no_plugin_learns_how_one_begins() {
        let redaction = Redaction::of([&b"correct horse"[..]].into_iter());
        let cut = "it is correct ho";
        assert_eq!(redaction.line(cut), "it is [secret]");
        assert_eq!(redaction.bytes(cut.into()), cut.as_bytes());
    }

    #[test]
    fn single_lines_of_a_key_are_taken_out_too() {
        check(&["correct horse"], "it is correct", "it is correct");
        let key = &["-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END KEY-----\n"][..];
        check(key, "bad line: BgkqhkiG9w0B", "bad line: [secret]");
        check(
            key,
            "MIIEvQIBADAN\r\nBgkqhkiG9w0B\r\n",
            "[secret]\r\n[secret]\r\n",
        );
    }

    #[test]
    fn short_lines_of_a_secret_are_not_looked_for() {
        check(&["yes\ncorrect horse"], "yes, yes", "yes, yes");
    }
}
