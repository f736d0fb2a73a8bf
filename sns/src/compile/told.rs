//! What a compile says about an author's text: each message once, since most are the same for every host.
//! Knows the text and the terminal, and nothing of what is compiled for whom.

use std::collections::BTreeSet;

use podspec::{Diagnostic, Severity};

use crate::diagnostics;
use crate::ui::Ui;

/// What was said about one text.
pub(super) struct Told<'a> {
    ui: &'a Ui,
    /// The name of the text for people.
    file: String,
    text: &'a str,
    shown: BTreeSet<String>,
    /// The same as JSON.
    found: &'a mut Vec<serde_json::Value>,
}

impl<'a> Told<'a> {
    /// Nothing yet.
    pub(super) fn new(
        ui: &'a Ui,
        file: String,
        text: &'a str,
        found: &'a mut Vec<serde_json::Value>,
    ) -> Self {
        Self {
            ui,
            file,
            text,
            shown: BTreeSet::new(),
            found,
        }
    }

    /// Shows what was found in the text. Gives the number of errors.
    pub(super) fn show(&mut self, found: &[Diagnostic]) -> usize {
        for problem in found {
            let lines = diagnostics::lines(&self.file, self.text, problem);
            if self.shown.insert(lines.join("\n")) {
                self.ui.diagnostic(&lines);
                self.found.push(diagnostics::json(&self.file, problem));
            }
        }
        let errors = found
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        errors.count()
    }

    /// Warns of something that does not lie in the text.
    pub(super) fn warn(&mut self, message: &str, hint: &str) {
        if self.shown.insert(message.to_owned()) {
            self.ui.warning(message);
            self.ui.hint(hint);
        }
    }
}
