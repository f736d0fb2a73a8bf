//! Shows the mistakes of a text that people write: `FILE:LINE:COLUMN: error: …`, the line itself, a caret
//! below the place, what was expected, and a hint. Pure: it returns lines.

use podspec::{Diagnostic, Severity};

/// Most characters of a line that are shown, without the marks where it is cut.
const EXCERPT_CHARS_MAX: usize = 100;

/// The lines that show one diagnostic of the file with this name and text.
pub(crate) fn lines(file: &str, text: &str, diagnostic: &Diagnostic) -> Vec<String> {
    let word = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut lines = Vec::new();
    match diagnostic.place {
        Some(place) => {
            lines.push(format!(
                "{file}:{}:{}: {word}: {}",
                place.line, place.column, diagnostic.message
            ));
            lines.extend(
                excerpt(text, place.line, place.column)
                    .into_iter()
                    .flatten(),
            );
        }
        None => lines.push(format!("{file}: {word}: {}", diagnostic.message)),
    }
    lines.extend(
        diagnostic
            .expected
            .iter()
            .map(|expected| format!("  expected: {expected}")),
    );
    lines.extend(diagnostic.hint.iter().map(|hint| format!("  hint: {hint}")));
    lines
}

/// The same as JSON.
pub(crate) fn json(file: &str, diagnostic: &Diagnostic) -> serde_json::Value {
    serde_json::json!({
        "file": file,
        "line": diagnostic.place.map(|place| place.line),
        "column": diagnostic.place.map(|place| place.column),
        "severity": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "path": diagnostic.path,
        "message": diagnostic.message,
        "expected": diagnostic.expected,
        "hint": diagnostic.hint,
    })
}

/// The line with its number, and a caret below the column. Tabs stay tabs, so that the caret lines up.
fn excerpt(text: &str, line: u32, column: u32) -> Option<[String; 2]> {
    let index = usize::try_from(line).ok()?.checked_sub(1)?;
    let before_caret = usize::try_from(column).ok()?.saturating_sub(1);
    let (source, before_caret) = cut(text.lines().nth(index)?, before_caret);
    let indent: String = source
        .chars()
        .chain(std::iter::repeat(' '))
        .take(before_caret)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    Some([
        format!("  {number} | {source}"),
        format!("  {margin} | {indent}^"),
    ])
}

/// The part of a long line around the character `at`, and where that character is in the part.
fn cut(line: &str, at: usize) -> (String, usize) {
    let length = line.chars().count();
    if length <= EXCERPT_CHARS_MAX {
        return (line.to_owned(), at);
    }
    let start = at
        .min(length)
        .saturating_sub(EXCERPT_CHARS_MAX / 2)
        .min(length - EXCERPT_CHARS_MAX);
    let part: String = line.chars().skip(start).take(EXCERPT_CHARS_MAX).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + EXCERPT_CHARS_MAX < length {
        "…"
    } else {
        ""
    };
    let shift = start - before.chars().count();
    (format!("{before}{part}{after}"), at - shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use podspec::Place;

    #[test]
    fn a_place_a_caret_and_a_hint() {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            place: Some(Place { line: 2, column: 5 }),
            path: "containers[0]".into(),
            message: "unknown key `imgae`".into(),
            expected: Some("image".into()),
            hint: Some("did you mean `image`?".into()),
        };
        let shown = lines("pod.yaml", "containers:\n  - imgae: nginx\n", &diagnostic);
        assert_eq!(
            shown,
            [
                "pod.yaml:2:5: error: unknown key `imgae`",
                "  2 |   - imgae: nginx",
                "    |     ^",
                "  expected: image",
                "  hint: did you mean `image`?",
            ]
        );
    }

    #[test]
    fn a_place_outside_the_text_shows_no_line() {
        let diagnostic = Diagnostic {
            severity: Severity::Warning,
            place: Some(Place { line: 9, column: 1 }),
            path: String::new(),
            message: "odd".into(),
            expected: None,
            hint: None,
        };
        assert_eq!(
            lines("pod.yaml", "a\n", &diagnostic),
            ["pod.yaml:9:1: warning: odd"]
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let long: String = ('a'..='z').cycle().take(100_000).collect();
        for column in [1, 30, 50_000, 99_999, 100_000, 100_001] {
            let [line, caret] = excerpt(&long, 1, column).unwrap();
            assert!(line.chars().count() < 120, "{column}: {line}");
            let below = line.chars().nth(caret.chars().count() - 1);
            let expected = long.chars().nth(column as usize - 1);
            assert_eq!(below, expected, "{column}");
        }
        let short = "b".repeat(EXCERPT_CHARS_MAX);
        assert_eq!(excerpt(&short, 1, 1).unwrap()[0], format!("  1 | {short}"));
    }
}
