//! The four conditions and `#endif`. A directive begins at the first column; anything else that
//! begins with `#` is a YAML comment.

use crate::{Diagnostic, Place};

/// What makes a block stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Defined,
    NotDefined,
    True,
    NotTrue,
}

/// A line that is a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive<'t> {
    If {
        word: &'static str,
        condition: Condition,
        argument: &'t str,
    },
    End,
}

impl<'t> Directive<'t> {
    const CONDITIONS: [(&'static str, Condition); 4] = [
        ("#ifdef", Condition::Defined),
        ("#ifndef", Condition::NotDefined),
        ("#iftrue", Condition::True),
        ("#ifntrue", Condition::NotTrue),
    ];

    /// The directive that the line is, if it is one.
    pub(super) fn recognise(line: &'t str) -> Option<Self> {
        let length = line.find(char::is_whitespace).unwrap_or(line.len());
        let (word, rest) = line.split_at(length);
        if word == "#endif" {
            return Some(Self::End);
        }
        let (word, condition) = Self::CONDITIONS
            .into_iter()
            .find(|(known, _)| *known == word)?;
        Some(Self::If {
            word,
            condition,
            argument: rest.trim(),
        })
    }
}

/// A block that is not closed yet.
struct Open {
    word: &'static str,
    place: Place,
    keep: bool,
}

/// The open blocks, outermost first.
#[derive(Default)]
pub(super) struct Blocks {
    open: Vec<Open>,
    problems: Vec<Diagnostic>,
}

impl Blocks {
    /// True when a line at this point stays.
    pub(super) fn keep(&self) -> bool {
        self.open.last().is_none_or(|block| block.keep)
    }

    /// Opens or closes a block. `fill_in` replaces variables; it is only asked in blocks that stay.
    pub(super) fn follow(
        &mut self,
        directive: Directive<'_>,
        place: Place,
        fill_in: &mut dyn FnMut(Condition, &str) -> String,
    ) {
        match directive {
            Directive::End => {
                if self.open.pop().is_none() {
                    self.problems
                        .push(Diagnostic::error("", "`#endif` closes nothing").at(Some(place)));
                }
            }
            Directive::If {
                word,
                condition,
                argument,
            } => {
                if argument.is_empty() {
                    let problem =
                        Diagnostic::error("", format!("`{word}` has no value")).at(Some(place));
                    self.problems
                        .push(problem.expecting(format!("{word} ${{NAME}}")));
                }
                let keep = self.keep() && holds(condition, fill_in(condition, argument).trim());
                self.open.push(Open { word, place, keep });
            }
        }
    }

    /// The problems, when the text has ended.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        let unclosed = self.open.iter().map(|block| {
            Diagnostic::error("", format!("`{}` is not closed", block.word))
                .at(Some(block.place))
                .expecting("a line `#endif` at the beginning of a line below it")
        });
        let mut problems = self.problems;
        problems.extend(unclosed);
        problems
    }
}

fn holds(condition: Condition, value: &str) -> bool {
    match condition {
        Condition::Defined => !value.is_empty(),
        Condition::NotDefined => value.is_empty(),
        Condition::True => value == "true",
        Condition::NotTrue => value != "true",
    }
}
