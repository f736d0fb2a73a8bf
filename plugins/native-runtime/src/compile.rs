//! `processes:` of a pod.yaml → the resolved specification of each process, or all that is wrong.

use serde_json::{Map, Value};

use crate::pod::{Spec, Variable};

/// Everything that one compile brought.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(crate) specs: Vec<(String, Spec)>,
    pub(crate) problems: Vec<Problem>,
}

/// Something that is wrong, with its place in the section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Resolves every unit of the section. `owner_is_root` says to whom the host home belongs, where that
/// is known already.
pub(crate) fn compile(section: &Value, owner_is_root: Option<bool>) -> Compiled {
    let mut compiled = Compiled::default();
    let none = Vec::new();
    let units = section
        .get("units")
        .and_then(Value::as_array)
        .unwrap_or(&none);
    for (index, unit) in units.iter().enumerate() {
        let name = unit
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let empty = Map::new();
        let settings = unit
            .get("settings")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let mut reader = Reader {
            settings,
            path: format!("units[{index}].settings"),
            problems: Vec::new(),
        };
        let spec = reader.spec(owner_is_root);
        compiled.problems.append(&mut reader.problems);
        compiled.specs.push((name, spec));
    }
    compiled
}

/// Reads the settings of one unit and keeps every problem that it meets.
struct Reader<'a> {
    settings: &'a Map<String, Value>,
    path: String,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn spec(&mut self, owner_is_root: Option<bool>) -> Spec {
        let mut command = self.texts("command");
        if !self.settings.contains_key("command") {
            self.problem(
                "",
                "a process needs a command",
                Some("add `command: [PROGRAM]`"),
            );
        } else if command.is_empty() && self.settings.get("command").is_some_and(Value::is_array) {
            self.problem(
                ".command",
                "the command is empty",
                Some("name the program as its first item"),
            );
        }
        let program = if command.is_empty() {
            String::new()
        } else {
            command.remove(0)
        };
        command.extend(self.texts("args"));
        Spec {
            program,
            args: command,
            env: self.env(),
            working_directory: self.working_directory(),
            user: self.user(owner_is_root),
        }
    }

    fn texts(&mut self, key: &str) -> Vec<String> {
        let items = match self.settings.get(key) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items.clone(),
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

    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.settings.get(key).filter(|value| !value.is_null())?;
        let text = scalar(value);
        if text.is_none() {
            self.problem(&format!(".{key}"), &format!("`{key}` is not a text"), None);
        }
        text
    }

    fn env(&mut self) -> Vec<Variable> {
        let items = match self.settings.get("env") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items.clone(),
            Some(_) => {
                self.problem(
                    ".env",
                    "`env` is not a list",
                    Some("write a list of `name` and `value` pairs"),
                );
                return Vec::new();
            }
        };
        items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.variable(index, item))
            .collect()
    }

    fn variable(&mut self, index: usize, item: &Value) -> Option<Variable> {
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
        } else if name.starts_with("SNS_") {
            self.problem(
                &format!("{path}.name"),
                "names that begin with `SNS_` are set by Simplenetes",
                None,
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
        Some(Variable {
            name: name.to_owned(),
            value,
        })
    }

    fn working_directory(&mut self) -> Option<String> {
        let directory = self.text("workingDir")?;
        if !directory.starts_with('/') && directory.split('/').any(|part| part == "..") {
            self.problem(
                ".workingDir",
                "a relative working directory may not lead out of the unit's own",
                Some("give an absolute path"),
            );
        }
        Some(directory)
    }

    fn user(&mut self, owner_is_root: Option<bool>) -> Option<String> {
        let user = self.text("user")?;
        if owner_is_root == Some(false) {
            self.problem(
                ".user",
                "`user` needs a host home that belongs to root",
                Some("remove it: the process runs as the owner of the host home"),
            );
        }
        Some(user)
    }

    fn problem(&mut self, path: &str, message: &str, hint: Option<&str>) {
        self.problems.push(Problem {
            path: format!("{}{path}", self.path),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        });
    }
}

/// Numbers and truth values stand for their text, as in every YAML file that starts programs.
fn scalar(value: &Value) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile_one(settings: &Value, owner_is_root: Option<bool>) -> Compiled {
        compile(
            &json!({"units": [{"name": "main", "settings": settings}]}),
            owner_is_root,
        )
    }

    fn check_problem(settings: &Value, path: &str, part_of_message: &str) {
        let problems = compile_one(settings, Some(false)).problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, format!("units[0].settings{path}"));
        assert!(
            problems[0].message.contains(part_of_message),
            "{}",
            problems[0].message
        );
    }

    #[test]
    fn command_and_args_become_one_program_with_its_arguments() {
        let compiled = compile_one(
            &json!({"command": ["httpd", "-f"], "args": ["-p", 8080], "env": [{"name": "A", "value": true}, {"name": "B"}], "workingDir": "/srv"}),
            None,
        );
        assert_eq!(compiled.problems, []);
        let (unit, spec) = &compiled.specs[0];
        assert_eq!(unit, "main");
        assert_eq!(
            serde_json::to_value(spec).unwrap(),
            json!({"program": "httpd", "args": ["-f", "-p", "8080"], "env": [{"name": "A", "value": "true"}, {"name": "B", "value": ""}], "workingDirectory": "/srv"})
        );
    }

    #[test]
    fn every_mistake_has_its_place() {
        check_problem(&json!({}), "", "needs a command");
        check_problem(&json!({"command": []}), ".command", "empty");
        check_problem(&json!({"command": "httpd -f"}), ".command", "not a list");
        check_problem(
            &json!({"command": ["httpd", ["x"]]}),
            ".command[1]",
            "expected a text",
        );
        check_problem(
            &json!({"command": ["x"], "args": "y"}),
            ".args",
            "not a list",
        );
        check_problem(
            &json!({"command": ["x"], "env": {"A": "b"}}),
            ".env",
            "not a list",
        );
        check_problem(
            &json!({"command": ["x"], "env": [{"value": "b"}]}),
            ".env[0]",
            "needs a name",
        );
        check_problem(
            &json!({"command": ["x"], "env": [{"name": "A", "vale": "b"}]}),
            ".env[0].vale",
            "unknown key",
        );
        check_problem(
            &json!({"command": ["x"], "env": [{"name": "1A"}]}),
            ".env[0].name",
            "not the name",
        );
        check_problem(
            &json!({"command": ["x"], "env": [{"name": "SNS_PROXY"}]}),
            ".env[0].name",
            "SNS_",
        );
        check_problem(
            &json!({"command": ["x"], "workingDir": "../.."}),
            ".workingDir",
            "lead out",
        );
        check_problem(
            &json!({"command": ["x"], "user": "www-data"}),
            ".user",
            "belongs to root",
        );
    }

    #[test]
    fn a_user_is_fine_where_root_owns_the_home_or_the_owner_is_not_known_yet() {
        for owner_is_root in [Some(true), None] {
            let compiled = compile_one(
                &json!({"command": ["x"], "user": "www-data"}),
                owner_is_root,
            );
            assert_eq!(compiled.problems, []);
            assert_eq!(compiled.specs[0].1.user.as_deref(), Some("www-data"));
        }
    }
}
