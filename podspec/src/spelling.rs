//! What an author probably meant, and how his words are repeated in a message.

/// Longest word for which a similar one is looked for, in bytes; longer ones are no slips of the pen.
const WORD_BYTES_MAX: usize = 40;
/// Longest piece of the author's text in a message, in characters.
const QUOTE_CHARACTERS_MAX: usize = 60;

/// "did you mean `image`?", when one of the words is near enough.
pub(crate) fn did_you_mean<'w>(
    word: &str,
    known: impl IntoIterator<Item = &'w str>,
) -> Option<String> {
    closest(word, known).map(|found| format!("did you mean `{found}`?"))
}

/// The word that is nearest, if any is near.
pub(crate) fn closest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    let nearest = known
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .min();
    nearest
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(3) / 3))
        .map(|(_, found)| found)
}

/// The author's text for a message: in one line, and not too long.
pub(crate) fn shorten(text: &str) -> String {
    let mut characters = text.chars();
    let mut short = String::new();
    for c in characters.by_ref().take(QUOTE_CHARACTERS_MAX) {
        if c.is_control() {
            short.extend(c.escape_default());
        } else {
            short.push(c);
        }
    }
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["image", "command", "expose", "name"];
        for (word, expected) in [
            ("imgae", Some("image")),
            ("Command", Some("command")),
            ("exposes", Some("expose")),
            ("nmae", Some("name")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(closest(word, keys), expected, "{word}");
        }
        assert_eq!(closest(&"x".repeat(10_000), keys), None);
    }

    #[test]
    fn quoted_text_is_one_short_line() {
        assert_eq!(shorten("a\nb"), "a\\nb");
        assert_eq!(shorten(&"x".repeat(100)).chars().count(), 61);
    }
}
