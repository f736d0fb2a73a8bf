//! Golden files: the expected output lies beside the input, and `BLESS=1` accepts a new one.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Compares `actual` with the golden file; with `BLESS=1` in the environment it becomes the file.
///
/// # Errors
/// They differ; the error shows the first line that does, and how to accept the new text.
pub fn check(golden: &Path, actual: &str) -> Result<()> {
    let expected = fs::read_to_string(golden).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        return bless(golden, actual);
    }
    let (number, was, is) = first_difference(&expected, actual);
    bail!(
        "{}:{number} differs\n  golden: {was}\n  actual: {is}\nIf the new text is right, run the test again with BLESS=1.",
        golden.display(),
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "a golden file is written on request, by one test, with nobody reading"
)]
fn bless(golden: &Path, actual: &str) -> Result<()> {
    fs::write(golden, actual).with_context(|| format!("cannot write {}", golden.display()))
}

/// The number of the first line that differs, and both versions of it.
fn first_difference<'a>(expected: &'a str, actual: &'a str) -> (usize, &'a str, &'a str) {
    const END: &str = "(end of text)";
    let mut was = expected.split('\n');
    let mut is = actual.split('\n');
    let mut number = 1;
    loop {
        match (was.next(), is.next()) {
            (Some(a), Some(b)) if a == b => number += 1,
            (a, b) => return (number, a.unwrap_or(END), b.unwrap_or(END)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_line_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), (2, "b", "c"));
        assert_eq!(first_difference("a", "a\nb"), (2, "(end of text)", "b"));
    }

    #[test]
    fn a_golden_file_is_compared_whole() {
        let folder = tempfile::tempdir().unwrap();
        let golden = folder.path().join("x.out");
        bless(&golden, "one\n").unwrap();
        check(&golden, "one\n").unwrap();
        let error = check(&golden, "one").unwrap_err().to_string();
        assert!(error.contains("x.out:2 differs"), "{error}");
        assert!(check(&folder.path().join("missing"), "one\n").is_err());
    }
}
