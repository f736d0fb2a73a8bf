//! What is left to do has a number: without an issue nobody comes back to it.

use super::{Problem, Tree};

/// The words that mean "later". Spelled in pieces, so that this file may name them.
const WORDS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("HA", "CK"),
];

/// The kinds of file that have comments of ours.
const KINDS: [&str; 6] = [".rs", ".wit", ".toml", ".yaml", ".md", ".sh"];

/// Reports words without `(#NUMBER)` behind them.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let ours = tree
        .files()
        .filter(|(path, _)| KINDS.iter().any(|kind| path.ends_with(kind)));
    ours.flat_map(|(path, text)| open_ends(path, text))
        .collect()
}

fn open_ends(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(word) = WORDS.iter().find(|word| names_no_issue(line, word)) {
            let text = format!("`{word}` needs an issue: `{word}(#12)`");
            problems.push(Problem::new(path, index + 1, text));
        }
    }
    problems
}

fn names_no_issue(line: &str, word: &str) -> bool {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(word) {
        let is_inside = |c: char| c.is_alphanumeric() || c == '_';
        let is_word = !before.ends_with(is_inside) && !after.starts_with(is_inside);
        let number = after
            .strip_prefix("(#")
            .map(|after| after.starts_with(|c: char| c.is_ascii_digit()));
        // A word in backquotes is spoken of, not meant.
        let is_quoted = before.ends_with('`');
        if is_word && !is_quoted && number != Some(true) {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_nothing() {
        for (tail, expected) in [
            (": later", 1),
            ("", 1),
            ("(#)", 1),
            ("(#12): later", 0),
            ("S are a list", 0),
            ("_MAX", 0),
        ] {
            let line = format!("// {}{tail}", WORDS[0]);
            assert_eq!(open_ends("a.rs", &line).len(), expected, "{line}");
        }
        assert_eq!(
            open_ends("a.md", &format!("`{}` needs a number", WORDS[0])),
            []
        );
    }
}
