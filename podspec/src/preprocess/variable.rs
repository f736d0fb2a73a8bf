//! Finds `${NAME}` in a text. A name is a letter or `_`, then letters, digits and `_`.

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Stays as it is.
    Text(&'t str),
    /// The name of a variable.
    Variable(&'t str),
}

impl Piece<'_> {
    /// Its width in the text that it was found in, in characters.
    pub(super) fn width(self) -> u32 {
        let characters = match self {
            Self::Text(text) => text.chars().count(),
            Self::Variable(name) => name.len() + "${}".len(),
        };
        u32::try_from(characters).unwrap_or(u32::MAX)
    }
}

/// The text as a list of its parts, none of them empty.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut plain_from = 0;
    let mut search_from = 0;
    while let Some((start, name)) = next_variable(text, search_from) {
        let end = start + name.len() + "${}".len();
        if let Some(plain) = text
            .get(plain_from..start)
            .filter(|plain| !plain.is_empty())
        {
            found.push(Piece::Text(plain));
        }
        found.push(Piece::Variable(name));
        plain_from = end;
        search_from = end;
    }
    if let Some(rest) = text.get(plain_from..).filter(|rest| !rest.is_empty()) {
        found.push(Piece::Text(rest));
    }
    found
}

fn next_variable(text: &str, from: usize) -> Option<(usize, &str)> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find("${")?;
        let inner = text.get(start + 2..)?;
        let length = inner
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(inner.len());
        let (name, rest) = inner.split_at(length);
        if rest.starts_with('}') && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        {
            return Some((start, name));
        }
        at = start + 2;
    }
}

/// The first `${NAME` of a line that no `}` belongs to: its column, from 1, and the name. What is no
/// name is not looked at; `${NAME:-text}` and its like are a shell's own and closed.
pub(super) fn unclosed(line: &str) -> Option<(u32, &str)> {
    let mut open = Vec::new();
    for (at, c) in line.char_indices() {
        match c {
            '{' if line.get(..at).is_some_and(|before| before.ends_with('$')) => open.push(at),
            '}' => {
                open.pop();
            }
            _ => {}
        }
    }
    open.into_iter().find_map(|brace| {
        let inner = line.get(brace + 1..)?;
        let length = inner
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(inner.len());
        let name = inner.get(..length)?;
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let before = line.get(..brace)?.chars().count();
        is_name.then_some((u32::try_from(before).unwrap_or(u32::MAX), name))
    })
}
