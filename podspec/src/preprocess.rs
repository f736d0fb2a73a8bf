//! Variables and directives: everything that happens to the text before it is read as YAML.
//!
//! `${NAME}` becomes its value, and the lines between `#ifdef X`, `#ifndef X`, `#iftrue X` or
//! `#ifntrue X` and `#endif` stay or go. Directives are recognised in the author's own text only, so
//! no value can bring one in, and variables of lines that go are never asked for. Where values come
//! from is the caller's business.

mod directive;
mod map;
mod variable;

use std::collections::{BTreeMap, BTreeSet};

use crate::header::literal_version;
use crate::spelling::shorten;
use crate::{Diagnostic, Place};
use directive::{Blocks, Condition, Directive};
use map::PlaceMap;
use variable::{Piece, pieces, unclosed};

/// A text whose variables are replaced and whose directives are followed, and the way back from each
/// of its places to the author's text.
#[derive(Debug, Clone)]
pub struct Preprocessed {
    /// The text, ready to be read as YAML.
    pub text: String,
    /// What was found on the way. [`crate::parse`] repeats all of it among its own.
    pub diagnostics: Vec<Diagnostic>,
    map: PlaceMap,
}

impl Preprocessed {
    /// The place in the author's text that a place in [`Self::text`] comes from.
    pub(crate) fn origin(&self, place: Place) -> Place {
        self.map.origin(place)
    }
}

/// The names of all variables that the text uses, also in lines that a directive removes.
#[must_use]
pub fn variables(text: &str) -> BTreeSet<String> {
    let names = pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Variable(name) => Some(name.to_owned()),
        Piece::Text(_) => None,
    });
    names.collect()
}

/// Replaces variables and follows directives. Every variable is asked for once; `podVersion` is taken
/// from the text itself. A variable without a value becomes empty, with a warning unless a comment
/// or a directive that allows for it names it.
pub fn preprocess(text: &str, value: &mut dyn FnMut(&str) -> Option<String>) -> Preprocessed {
    let mut values = Values {
        ask: value,
        version: literal_version(text),
        known: BTreeMap::new(),
        missing: BTreeMap::new(),
        unclosed: Vec::new(),
    };
    let mut out = Output {
        text: String::with_capacity(text.len()),
        map: PlaceMap::default(),
    };
    let mut blocks = Blocks::default();
    let last = text.split('\n').count();
    for (index, line) in text.split('\n').enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let start = Place {
            line: number,
            column: 1,
        };
        match Directive::recognise(line) {
            Some(directive) => blocks.follow(directive, start, &mut |condition, argument| {
                values.look_for_unclosed(line, number);
                values.fill_in(condition, argument, start)
            }),
            None if blocks.keep() => {
                out.push(line, number, &mut values);
                if index + 1 < last {
                    out.end_line(Place {
                        line: number,
                        column: 1,
                    });
                }
            }
            None => {}
        }
    }
    let mut diagnostics = values.finish();
    diagnostics.extend(blocks.finish());
    Preprocessed {
        text: out.text,
        diagnostics,
        map: out.map,
    }
}

/// The text that grows, and the map that grows with it.
struct Output {
    text: String,
    map: PlaceMap,
}

impl Output {
    fn push(&mut self, line: &str, number: u32, values: &mut Values<'_>) {
        let in_comment = line.trim_start().starts_with('#');
        if !in_comment {
            values.look_for_unclosed(line, number);
        }
        let mut column: u32 = 1;
        for piece in pieces(line) {
            let place = Place {
                line: number,
                column,
            };
            match piece {
                Piece::Text(text) => {
                    self.map.literal(place, text);
                    self.text.push_str(text);
                }
                Piece::Variable(name) => {
                    let value = values.get(name, place, in_comment);
                    self.map.replaced(place, &value);
                    self.text.push_str(&value);
                }
            }
            column = column.saturating_add(piece.width());
        }
    }

    fn end_line(&mut self, place: Place) {
        self.text.push('\n');
        self.map.literal(place, "\n");
    }
}

/// Every value that was asked for, and the variables that have none.
struct Values<'a> {
    ask: &'a mut dyn FnMut(&str) -> Option<String>,
    version: Option<String>,
    known: BTreeMap<String, Option<String>>,
    missing: BTreeMap<String, Place>,
    unclosed: Vec<Diagnostic>,
}

impl Values<'_> {
    /// The value of a variable; nothing is missing where it `may_lack` one, as in a comment.
    fn get(&mut self, name: &str, place: Place, may_lack: bool) -> String {
        if !self.known.contains_key(name) {
            let own = if name == "podVersion" {
                self.version.clone()
            } else {
                None
            };
            let value = own.or_else(|| (self.ask)(name));
            self.known.insert(name.to_owned(), value);
        }
        if let Some(Some(value)) = self.known.get(name) {
            return value.clone();
        }
        if !may_lack {
            self.missing.entry(name.to_owned()).or_insert(place);
        }
        String::new()
    }

    /// The argument of a directive. To ask whether a variable is defined needs no value, and DEVMODE is
    /// the one that only developers set.
    fn fill_in(&mut self, condition: Condition, argument: &str, place: Place) -> String {
        let asks_if_defined = matches!(condition, Condition::Defined | Condition::NotDefined);
        let pieces = pieces(argument).into_iter();
        pieces
            .map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Variable(name) => {
                    self.get(name, place, asks_if_defined || name == "DEVMODE")
                }
            })
            .collect()
    }

    /// A `${NAME` without an end stays as it is, which is hardly ever meant.
    fn look_for_unclosed(&mut self, line: &str, number: u32) {
        let Some((column, name)) = unclosed(line) else {
            return;
        };
        let place = Place {
            line: number,
            column,
        };
        let message = format!("`${{{}` is not closed and stays as it is", shorten(name));
        self.unclosed.push(
            Diagnostic::warning("", message)
                .at(Some(place))
                .expecting(format!("${{{}}}", shorten(name))),
        );
    }

    fn finish(self) -> Vec<Diagnostic> {
        let missing = self.missing.into_iter().map(|(name, place)| {
            Diagnostic::warning(
                "",
                format!("variable `${{{name}}}` has no value and becomes empty"),
            )
            .at(Some(place))
        });
        missing.chain(self.unclosed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Option<String> {
        let value = match name {
            "yes" => "true",
            "no" => "false",
            "spaced" => "true and more",
            "odd" => r"a&b\1${yes}",
            "two" => "x\ny",
            "empty" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn check(input: &str, expected: &str) {
        let out = preprocess(input, &mut values);
        assert_eq!(out.text, expected, "{:?}", out.diagnostics);
        assert!(out.diagnostics.is_empty(), "{:?}", out.diagnostics);
    }

    fn check_problem(input: &str, expected: &[&str]) {
        let out = preprocess(input, &mut values);
        let found: Vec<_> = out.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_put_in_as_they_are() {
        check("a: ${yes}${no}\n", "a: truefalse\n");
        check("a: ${odd}", r"a: a&b\1${yes}");
        check(
            "podVersion: 1.2.3\nimage: x:${podVersion}",
            "podVersion: 1.2.3\nimage: x:1.2.3",
        );
        check("$yes ${} ${1} ${ yes} ${-", "$yes ${} ${1} ${ yes} ${-");
        check("", "");
    }

    #[test]
    fn a_variable_that_is_not_closed_stays_with_a_warning() {
        let found = |input: &str| {
            let out = preprocess(input, &mut values);
            assert!(!input.contains("${yes}") || out.text.contains("true"));
            let places = out.diagnostics.iter().filter_map(|found| found.place);
            places
                .map(|place| (place.line, place.column))
                .collect::<Vec<_>>()
        };
        assert_eq!(found("a: ${yes"), [(1, 4)]);
        assert_eq!(found("é: ${yes/x ${yes}\nb: ${no x"), [(1, 4), (2, 4)]);
        assert_eq!(found("a: ${yes}${no: ${no"), [(1, 10)]);
        assert_eq!(found("#ifdef ${empty\na: b\n#endif"), [(1, 8)]);
        // A shell's own ways to write a variable, a comment, and a line that goes.
        assert_eq!(found("a: ${x:-1} ${x:-${yes}} ${#y[@]}"), []);
        assert_eq!(found("# ${yes\n#iftrue ${no}\n${yes\n#endif"), []);
        check_problem(
            "a: ${yes b",
            &["1:4: warning: `${yes` is not closed and stays as it is\n  expected: ${yes}"],
        );
    }

    #[test]
    fn directives_keep_and_drop_lines() {
        check("1\n#iftrue ${yes}\n2\n#endif\n3", "1\n2\n3");
        check("#iftrue ${no}\n2\n#endif  \n3\n", "3\n");
        check("#iftrue ${spaced}\n2\n#endif\n3\n", "3\n");
        check("#ifntrue ${spaced}\n2\n#endif\n3\n", "2\n3\n");
        check("#ifdef ${spaced}\n2\n#endif\n", "2\n");
        check(
            "#ifdef ${empty}\n2\n#endif\n#ifndef ${empty}\n3\n#endif\n",
            "3\n",
        );
        check(" #ifdef\n#ifdefined x\n", " #ifdef\n#ifdefined x\n");
        check("#iftrue ${yes}\r\na\r\n#endif\r\n", "a\r\n");
    }

    #[test]
    fn blocks_nest_and_dropped_lines_ask_for_nothing() {
        check(
            "#iftrue ${no}\n#iftrue ${unknown}\n1 ${unknown}\n#endif\n2\n#endif\n3",
            "3",
        );
        check(
            "#iftrue ${yes}\n#iftrue ${no}\n1\n#endif\n2\n#endif\n3",
            "2\n3",
        );
    }

    #[test]
    fn problems_have_places() {
        check_problem(
            "a\n b: ${x}\nc: ${x}",
            &["2:5: warning: variable `${x}` has no value and becomes empty"],
        );
        check_problem(
            "\n#ifdef 1\n#ifdef 2\n#endif\n",
            &[
                "2:1: error: `#ifdef` is not closed\n  expected: a line `#endif` at the beginning of a line below it",
            ],
        );
        check_problem("#endif\n", &["1:1: error: `#endif` closes nothing"]);
        check_problem(
            "#iftrue\n#endif",
            &["1:1: error: `#iftrue` has no value\n  expected: #iftrue ${NAME}"],
        );
    }

    #[test]
    fn every_place_leads_back() {
        let out = preprocess(
            "#ifdef ${empty}\nx\n#endif\na: ${spaced} z\nb: ${two} c\nd",
            &mut values,
        );
        assert_eq!(out.text, "a: true and more z\nb: x\ny c\nd");
        let origin = |line, column| {
            let place = out.origin(Place { line, column });
            (place.line, place.column)
        };
        assert_eq!(origin(1, 1), (4, 1));
        assert_eq!(origin(1, 4), (4, 4));
        assert_eq!(origin(1, 9), (4, 4));
        assert_eq!(origin(1, 18), (4, 14));
        assert_eq!(origin(3, 1), (5, 4));
        assert_eq!(origin(3, 3), (5, 11));
        assert_eq!(origin(4, 1), (6, 1));
        assert_eq!(origin(9, 9), (6, 1));
    }

    #[test]
    fn variables_are_listed_once() {
        let names: Vec<_> = variables("${b} ${a}\n#ifdef ${b}\n${_c1}")
            .into_iter()
            .collect();
        assert_eq!(names, ["_c1", "a", "b"]);
    }
}
