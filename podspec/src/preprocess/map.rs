//! The way back from the text after preprocessing to the text that the author sees in the editor.

use crate::Place;

/// Where a stretch of one line comes from.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// Its first column in the new text.
    column: u32,
    /// Where that column comes from.
    origin: Place,
    /// True when the columns behind it count on in the origin too; false for a value, all of which
    /// comes from the place of its variable.
    counts: bool,
}

/// For each line of the new text, its stretches from left to right.
#[derive(Debug, Clone)]
pub(super) struct PlaceMap {
    lines: Vec<Vec<Stretch>>,
    column: u32,
}

impl Default for PlaceMap {
    fn default() -> Self {
        Self {
            lines: vec![Vec::new()],
            column: 1,
        }
    }
}

impl PlaceMap {
    /// Text that was taken over as it is.
    pub(super) fn literal(&mut self, origin: Place, text: &str) {
        self.push(origin, text, true);
    }

    /// Text that stands for a variable at `origin`.
    pub(super) fn replaced(&mut self, origin: Place, text: &str) {
        self.push(origin, text, false);
    }

    fn push(&mut self, origin: Place, text: &str, counts: bool) {
        for (index, part) in text.split('\n').enumerate() {
            if index > 0 {
                self.lines.push(Vec::new());
                self.column = 1;
            }
            // The line break of a literal belongs to its own line; nothing of it begins the next one.
            let begins = !part.is_empty() || (!counts && index > 0);
            if let Some(line) = self.lines.last_mut().filter(|_| begins) {
                line.push(Stretch {
                    column: self.column,
                    origin,
                    counts,
                });
            }
            let width = u32::try_from(part.chars().count()).unwrap_or(u32::MAX);
            self.column = self.column.saturating_add(width);
        }
    }

    /// Where a place of the new text comes from. A place behind the end comes from the end.
    pub(super) fn origin(&self, place: Place) -> Place {
        let index = usize::try_from(place.line)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        let lines = self.lines.get(..=index).unwrap_or(&self.lines);
        let exact = index < self.lines.len();
        let Some(line) = lines.iter().rev().find(|line| !line.is_empty()) else {
            return place;
        };
        let is_own_line = exact && lines.last().is_some_and(|last| !last.is_empty());
        let column = if is_own_line { place.column } else { 1 };
        let stretch = line
            .iter()
            .rev()
            .find(|stretch| stretch.column <= column)
            .or_else(|| line.first());
        match stretch {
            Some(stretch) if stretch.counts => Place {
                line: stretch.origin.line,
                column: stretch
                    .origin
                    .column
                    .saturating_add(column.saturating_sub(stretch.column)),
            },
            Some(stretch) => stretch.origin,
            None => place,
        }
    }
}
