//! `KEY=value` lines that people edit: every line is kept as it stands, the first of a key counts.
//!
//! Shared by `host.env` and `cluster-vars.env`; must not know the keys of either.

/// A text of `KEY=value` lines. Lines without `=`, empty lines and lines that begin with `#` say
/// nothing and are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct KeyLines(Vec<String>);

impl KeyLines {
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().map(str::to_owned).collect())
    }

    pub(crate) fn to_text(&self) -> String {
        self.0.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Line number (from 1), key and trimmed value of every line that has them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        (1..)
            .zip(&self.0)
            .filter_map(|(number, line)| split(line).map(|(key, value)| (number, key, value)))
    }

    /// The value of the first line of the key, trimmed.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.entries()
            .find(|(_, found, _)| *found == key)
            .map(|(_, _, value)| value)
    }

    /// Changes the first line of the key, or adds one.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        let line = format!("{key}={}", value.replace(['\n', '\r'], " ").trim());
        match self
            .0
            .iter_mut()
            .find(|line| split(line).is_some_and(|(found, _)| found == key))
        {
            Some(present) => *present = line,
            None => self.0.push(line),
        }
    }
}

fn split(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && !key.starts_with('#')).then(|| (key, value.trim()))
}
