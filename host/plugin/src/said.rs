//! What a plugin says to people: it ends in a status file, a log or a terminal, so it is one line of a bounded
//! length, without anything that would move a cursor.

/// Characters that are shown of what a plugin says at once.
const CHARS_MAX: usize = 1000;

/// The text as people get it.
pub(crate) fn said(text: String) -> String {
    // No text has more characters than bytes.
    if text.len() <= CHARS_MAX && !text.contains(char::is_control) {
        return text;
    }
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut letters = text.chars().map(plain);
    let shown: String = letters.by_ref().take(CHARS_MAX).collect();
    match letters.count() {
        0 => shown,
        left => format!("{shown}… ({left} more characters)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_of_a_bounded_length() {
        let check = |text: &str, expected: &str| assert_eq!(said(text.to_owned()), expected);
        check("", "");
        check("all is well: 100 % ✓", "all is well: 100 % ✓");
        check("a panic\nat src/lib.rs\n", "a panic at src/lib.rs ");
        check("\x1b[2J\rgone\x07\u{9b}31m", " [2J gone  31m");
        let long = "ä".repeat(CHARS_MAX);
        check(&long, &long);
        check(
            &format!("{long}bc"),
            &format!("{long}… (2 more characters)"),
        );
    }
}
