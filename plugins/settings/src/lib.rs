//! The settings of one unit, as `compile` finds them in `view.section`: read with every problem kept, each
//! with its place.
//!
//! Shared by the plugins of this repository. It knows no kind: which keys there are, and what they mean, is
//! the plugin's.

use serde_json::{Map, Value};

/// Something that is wrong, with its place in the section.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// True when the pod can be compiled all the same.
    pub is_warning: bool,
    /// Where, as in `units[0].settings.command[1]`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Reads the settings of one unit and keeps every problem that it meets.
#[derive(Debug)]
pub struct Settings<'a> {
    fields: Option<&'a Map<String, Value>>,
    path: String,
    /// What was wrong so far.
    pub problems: Vec<Problem>,
}

impl<'a> Settings<'a> {
    /// The settings of the unit at this place of the section.
    #[must_use]
    pub fn of(unit: &'a Value, index: usize) -> Self {
        Self {
            fields: unit.get("settings").and_then(Value::as_object),
            path: format!("units[{index}].settings"),
            problems: Vec::new(),
        }
    }

    /// What stands at this key; null is nothing.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields?.get(key).filter(|value| !value.is_null())
    }

    /// True when the key is there, whatever stands at it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.fields.is_some_and(|fields| fields.contains_key(key))
    }

    /// A list of texts; an empty one when the key is missing.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let items = match self.get(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                let hint = format!(
                    "write a list, as in `{key}: [one, two]`; there is no shell that would split a line"
                );
                self.problem(
                    &format!(".{key}"),
                    &format!("`{key}` is not a list"),
                    Some(&hint),
                );
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match scalar(item) {
                Some(text) => texts.push(text),
                None => self.problem(&format!(".{key}[{index}]"), "expected a text", None),
            }
        }
        texts
    }

    /// A text.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let text = scalar(self.get(key)?);
        if text.is_none() {
            self.problem(&format!(".{key}"), &format!("`{key}` is not a text"), None);
        }
        text
    }

    /// `true` or `false`; false when the key is missing.
    pub fn truth(&mut self, key: &str) -> bool {
        match self.get(key) {
            None => false,
            Some(Value::Bool(truth)) => *truth,
            Some(_) => {
                let message = format!("`{key}` is neither true nor false");
                self.problem(&format!(".{key}"), &message, None);
                false
            }
        }
    }

    /// `env`: a list of `name` and `value`.
    pub fn env(&mut self) -> Vec<(String, String)> {
        let items = match self.get("env") {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.problem(
                    ".env",
                    "`env` is not a list",
                    Some("write a list of `name` and `value` pairs"),
                );
                return Vec::new();
            }
        };
        let variables = items.iter().enumerate();
        variables
            .filter_map(|(index, item)| self.variable(index, item))
            .collect()
    }

    fn variable(&mut self, index: usize, item: &Value) -> Option<(String, String)> {
        let path = format!(".env[{index}]");
        if let Some(unknown) = item
            .as_object()
            .and_then(|map| map.keys().find(|key| *key != "name" && *key != "value"))
        {
            self.problem(
                &format!("{path}.{unknown}"),
                &format!("unknown key `{unknown}`"),
                Some("expected `name` and `value`"),
            );
        }
        let Some(name) = item.get("name").and_then(Value::as_str) else {
            self.problem(
                &path,
                "a variable needs a name",
                Some("write `- name: NAME` and below it `value: VALUE`"),
            );
            return None;
        };
        if !is_variable_name(name) {
            self.problem(
                &format!("{path}.name"),
                &format!("`{name}` is not the name of a variable"),
                Some("letters, digits and `_`, not beginning with a digit"),
            );
        }
        let value = item.get("value").unwrap_or(&Value::Null);
        let Some(value) = (if value.is_null() {
            Some(String::new())
        } else {
            scalar(value)
        }) else {
            self.problem(&format!("{path}.value"), "expected a text", None);
            return None;
        };
        Some((name.to_owned(), value))
    }

    /// Keeps an error at a place below the settings; the path begins with `.` or is empty.
    pub fn problem(&mut self, path: &str, message: &str, hint: Option<&str>) {
        self.note(false, path, message, hint);
    }

    /// Keeps a warning.
    pub fn warning(&mut self, path: &str, message: &str, hint: Option<&str>) {
        self.note(true, path, message, hint);
    }

    fn note(&mut self, is_warning: bool, path: &str, message: &str, hint: Option<&str>) {
        self.problems.push(Problem {
            is_warning,
            path: format!("{}{path}", self.path),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        });
    }
}

/// Numbers and truth values stand for their text, as in every YAML file that starts programs.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
