//! The file ratchet: no file has more than 400 lines beside its tests.

use syn::spanned::Spanned as _;
use syn::{File, Item};

use super::modules::{is_for_tests, shipped};
use super::{Problem, Tree};

/// The longest file that is still one thought.
const LINES_MAX: usize = 400;

/// Reports every file that is too long.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    shipped(tree)
        .filter_map(|(path, text)| too_long(path, text))
        .collect()
}

fn too_long(path: &str, text: &str) -> Option<Problem> {
    let tests = syn::parse_file(text).map_or(0, |file| test_lines(&file));
    let lines = text.lines().count().saturating_sub(tests);
    let message = format!("{lines} lines without tests; the limit is {LINES_MAX}");
    (lines > LINES_MAX).then(|| Problem::new(path, 1, message))
}

fn test_lines(file: &File) -> usize {
    let modules = file.items.iter().filter_map(|item| match item {
        Item::Mod(module) if is_for_tests(&module.attrs) => Some(module.span()),
        _ => None,
    });
    modules
        .map(|span| span.end().line + 1 - span.start().line)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_are_not_counted() {
        let code = "const A: u8 = 0;\n".repeat(LINES_MAX);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert_eq!(too_long("a.rs", &format!("{code}{tests}")), None);
        let problem = too_long("a.rs", &format!("{code}const B: u8 = 0;\n{tests}")).unwrap();
        assert_eq!(
            problem.to_string(),
            "a.rs:1: 401 lines without tests; the limit is 400"
        );
    }
}
