//! Replaces what differs from run to run in a program's output: folders, ports, times and digests.

use std::path::Path;

/// Named replacements of whole strings, and the fixed rules for numbers.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    names: Vec<(String, String)>,
}

impl Redactor {
    /// No named replacement yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces a folder wherever it appears; a longer folder wins over one that contains it.
    #[must_use]
    pub fn folder(self, path: &Path, name: &str) -> Self {
        self.text(&path.display().to_string(), name)
    }

    /// Replaces a text wherever it appears.
    #[must_use]
    pub fn text(mut self, text: &str, name: &str) -> Self {
        self.names.push((text.to_owned(), format!("[{name}]")));
        self.names
            .sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        self
    }

    /// The text as snapshots keep it.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut named = text.to_owned();
        for (from, to) in &self.names {
            named = named.replace(from, to);
        }
        words(&named)
    }
}

/// Goes through the words and the gaps between them.
fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (gap, tail) = rest.split_at(start);
        let end = tail
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(tail.len());
        let (word, after) = tail.split_at(end);
        out.push_str(gap);
        let is_port = out.ends_with("127.0.0.1:") && word.chars().all(|c| c.is_ascii_digit());
        out.push_str(if is_port { "[PORT]" } else { redacted(word) });
        rest = after;
    }
    out + rest
}

/// Unix times in seconds or finer, and git or SHA-256 digests.
fn redacted(word: &str) -> &str {
    let is_hex = word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    let is_number = word.chars().all(|c| c.is_ascii_digit());
    match word.len() {
        10..=19 if is_number => "[TIME]",
        40 | 64 if is_hex => "[DIGEST]",
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &str) {
        let redactor = Redactor::new()
            .folder(Path::new("/tmp/a"), "HOME")
            .folder(Path::new("/tmp/a/p"), "PROJECT");
        assert_eq!(redactor.redact(input), expected);
    }

    #[test]
    fn what_differs_between_runs_is_replaced() {
        check(
            "wrote /tmp/a/p/x and /tmp/a/y",
            "wrote [PROJECT]/x and [HOME]/y",
        );
        check(
            "listening on 127.0.0.1:41234.",
            "listening on 127.0.0.1:[PORT].",
        );
        check("started: 1700000000\n", "started: [TIME]\n");
        check(&format!("commit {}", "0a".repeat(20)), "commit [DIGEST]");
    }

    #[test]
    fn what_does_not_is_kept() {
        for text in ["61000:30000:4096:false", "web-1.0.0", "überall 12 ß", ""] {
            check(text, text);
        }
    }
}
