//! Reading a tree without ever stopping at a mistake.
//!
//! A [`Value`] is a node with the way to it. Its readers answer with what they could read and put all
//! that is wrong on the [`Problems`]; so the author gets the whole list. Which keys exist is said by
//! the modules below `read`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::spelling::{did_you_mean, shorten};
use crate::tree::{Content, Entry, Node};
use crate::{Diagnostic, Place};

/// What was found wrong so far.
pub(crate) type Problems = Vec<Diagnostic>;

/// A node and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Value<'t> {
    pub(crate) node: &'t Node,
    pub(crate) path: String,
}

impl<'t> Value<'t> {
    /// The whole document.
    pub(crate) fn root(node: &'t Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    /// An error about this value.
    pub(crate) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.path.clone(), message).at(Some(self.node.place))
    }

    /// A warning about this value.
    pub(crate) fn warning(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(self.path.clone(), message).at(Some(self.node.place))
    }

    fn mistyped(&self, expected: &str) -> Diagnostic {
        self.error(format!("{} stands here", self.node.describe()))
            .expecting(expected)
    }

    /// The text of a scalar, whatever it looks like.
    pub(crate) fn text(&self, expected: &str, problems: &mut Problems) -> Option<&'t str> {
        match &self.node.content {
            Content::Scalar { text, .. } => Some(text),
            _ => {
                problems.push(self.mistyped(expected));
                None
            }
        }
    }

    /// The text of a scalar that obeys a rule.
    pub(crate) fn text_that(
        &self,
        expected: &str,
        rule: impl Fn(&str) -> bool,
        problems: &mut Problems,
    ) -> Option<&'t str> {
        let text = self.text(expected, problems)?;
        if rule(text) {
            return Some(text);
        }
        problems.push(self.refused(text, expected));
        None
    }

    /// The error for a text that breaks a rule.
    pub(crate) fn refused(&self, text: &str, expected: &str) -> Diagnostic {
        self.error(format!("`{}` is not allowed here", shorten(text)))
            .expecting(expected)
    }

    /// A scalar as a type that reads itself from text.
    pub(crate) fn parsed<T: FromStr>(&self, expected: &str, problems: &mut Problems) -> Option<T> {
        let text = self.text(expected, problems)?;
        let value = text.parse().ok();
        if value.is_none() {
            problems.push(self.refused(text, expected));
        }
        value
    }

    /// A whole number, quoted or not.
    pub(crate) fn number<T>(&self, range: RangeInclusive<T>, problems: &mut Problems) -> Option<T>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let text = self.text(&expected, problems)?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let number = text
            .parse()
            .ok()
            .filter(|number| is_number && range.contains(number));
        if number.is_none() {
            problems.push(self.refused(text, &expected));
        }
        number
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        self.word(&[("true", true), ("false", false)], problems)
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected = alternatives(&known);
        let text = self.text(&expected, problems)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            problems.push(
                self.refused(text, &expected)
                    .hinting(did_you_mean(text, known)),
            );
        }
        found
    }

    /// The items of a list.
    pub(crate) fn list(&self, expected: &str, problems: &mut Problems) -> Vec<Value<'t>> {
        let Content::List(items) = &self.node.content else {
            problems.push(self.mistyped(&format!("a list of {expected}")));
            return Vec::new();
        };
        let items = items.iter().enumerate();
        items
            .map(|(index, node)| Self {
                node,
                path: format!("{}[{index}]", self.path),
            })
            .collect()
    }

    /// A list of texts that is not empty: a program and its arguments.
    pub(crate) fn argv(&self, problems: &mut Problems) -> Option<Vec<String>> {
        const EXPECTED: &str = "a program and its arguments, as in [curl, -f, http://localhost/]";
        if !matches!(&self.node.content, Content::List(items) if !items.is_empty()) {
            problems.push(self.mistyped(&format!("a list of {EXPECTED}")));
            return None;
        }
        let items = self.list(EXPECTED, problems);
        items
            .iter()
            .map(|item| {
                item.text_that("a text", is_passable, problems)
                    .map(str::to_owned)
            })
            .collect()
    }

    /// Words: a scalar with blanks between them, or a list.
    pub(crate) fn words(
        &self,
        expected: &str,
        problems: &mut Problems,
    ) -> Vec<(Value<'t>, &'t str)> {
        let items = match &self.node.content {
            Content::List(_) => self.list(expected, problems),
            _ => vec![self.clone()],
        };
        let mut words = Vec::new();
        for item in items {
            let text = item.text(expected, problems).unwrap_or_default();
            words.extend(text.split_whitespace().map(|word| (item.clone(), word)));
        }
        words
    }

    /// The entries of a map, of which none may be unknown.
    pub(crate) fn fields(&self, known: &[&str], problems: &mut Problems) -> Option<Fields<'t>> {
        let fields = self.open_fields(&alternatives(known), problems)?;
        fields.refuse_unknown(known, problems);
        Some(fields)
    }

    /// The entries of a map, whatever they are.
    pub(crate) fn open_fields(
        &self,
        expected: &str,
        problems: &mut Problems,
    ) -> Option<Fields<'t>> {
        match &self.node.content {
            Content::Map(entries) => Some(Fields {
                of: self.clone(),
                entries,
            }),
            _ => {
                problems.push(self.mistyped(&format!("a map with {expected}")));
                None
            }
        }
    }
}

/// The entries of a map.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'t> {
    pub(crate) of: Value<'t>,
    pub(crate) entries: &'t [Entry],
}

impl<'t> Fields<'t> {
    /// The path of a key of this map.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.of.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.of.path)
        }
    }

    /// The value of a key. A key with nothing behind it counts as absent, because that is what a
    /// variable without a value leaves.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'t>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let is_empty = matches!(entry.value.content, Content::Null);
        (!is_empty).then(|| Value {
            node: &entry.value,
            path: self.path(key),
        })
    }

    /// The value of a key that must be there.
    pub(crate) fn require(
        &self,
        key: &str,
        expected: &str,
        problems: &mut Problems,
    ) -> Option<Value<'t>> {
        let value = self.get(key);
        if value.is_none() {
            let message = match self.key_place(key) {
                Some(_) => format!("`{key}` has no value"),
                None => format!("`{key}` is missing"),
            };
            let place = self.key_place(key).unwrap_or(self.of.node.place);
            problems.push(
                Diagnostic::error(self.path(key), message)
                    .at(Some(place))
                    .expecting(expected),
            );
        }
        value
    }

    /// The value of a key that may be missing, but must not be empty when it is there: what a mistyped variable
    /// leaves would change what is meant.
    pub(crate) fn get_whole(
        &self,
        key: &str,
        expected: &str,
        problems: &mut Problems,
    ) -> Option<Value<'t>> {
        self.key_place(key)?;
        self.require(key, expected, problems)
    }

    /// An error about a key itself.
    pub(crate) fn key_error(&self, key: &str, message: impl Into<String>) -> Diagnostic {
        let place = self.key_place(key).unwrap_or(self.of.node.place);
        Diagnostic::error(self.path(key), message).at(Some(place))
    }

    fn key_place(&self, key: &str) -> Option<Place> {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| entry.place)
    }

    /// Reports every key that is not among the known ones.
    pub(crate) fn refuse_unknown(&self, known: &[&str], problems: &mut Problems) {
        for entry in self
            .entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            let key = shorten(&entry.key);
            let hint = match entry.key.as_str() {
                "<<" => {
                    Some("merging maps is not part of the format: write the keys out".to_owned())
                }
                word => did_you_mean(word, known.iter().copied()),
            };
            let problem = Diagnostic::error(self.path(&key), format!("unknown key `{key}`"))
                .at(Some(entry.place));
            problems.push(problem.expecting(alternatives(known)).hinting(hint));
        }
    }
}

/// Reports a value when its name was used before.
pub(crate) fn refuse_repeated<T: Ord + ToString>(
    seen: &mut BTreeSet<T>,
    new: T,
    at: &Value<'_>,
    what: &str,
    problems: &mut Problems,
) {
    if seen.contains(&new) {
        let message = format!("{what} `{}` is used twice", shorten(&new.to_string()));
        problems.push(at.error(message).expecting(format!("a {what} of its own")));
    }
    seen.insert(new);
}

/// True for text that can be handed to a program or written into one line of a file.
pub(crate) fn is_passable(text: &str) -> bool {
    !text.contains('\0')
}

/// "a, b or c".
pub(crate) fn alternatives(words: &[&str]) -> String {
    match words.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
