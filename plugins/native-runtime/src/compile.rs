//! `processes:` of a pod.yaml → the resolved specification of each process, or all that is wrong.

use plugin_settings::{Problem, Settings};
use serde_json::Value;

use crate::pod::{Spec, Variable};

/// Everything that one compile brought.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(crate) specs: Vec<(String, Spec)>,
    pub(crate) problems: Vec<Problem>,
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
        let mut reader = Settings::of(unit, index);
        let spec = spec(&mut reader, owner_is_root);
        compiled.problems.append(&mut reader.problems);
        compiled.specs.push((name, spec));
    }
    compiled
}

fn spec(settings: &mut Settings<'_>, owner_is_root: Option<bool>) -> Spec {
    let mut command = settings.texts("command");
    if !settings.has("command") {
        settings.problem(
            "",
            "a process needs a command",
            Some("add `command: [PROGRAM]`"),
        );
    } else if command.is_empty() && settings.get("command").is_some_and(Value::is_array) {
        settings.problem(
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
    command.extend(settings.texts("args"));
    Spec {
        program,
        args: command,
        env: env(settings),
        working_directory: working_directory(settings),
        user: user(settings, owner_is_root),
    }
}

fn env(settings: &mut Settings<'_>) -> Vec<Variable> {
    let env = settings.env();
    for (index, (name, _)) in env.iter().enumerate() {
        if name.starts_with("SNS_") {
            settings.problem(
                &format!(".env[{index}].name"),
                "names that begin with `SNS_` are set by Simplenetes",
                None,
            );
        }
    }
    env.into_iter()
        .map(|(name, value)| Variable { name, value })
        .collect()
}

fn working_directory(settings: &mut Settings<'_>) -> Option<String> {
    let directory = settings.text("workingDir")?;
    if !directory.starts_with('/') && directory.split('/').any(|part| part == "..") {
        settings.problem(
            ".workingDir",
            "a relative working directory may not lead out of the unit's own",
            Some("give an absolute path"),
        );
    }
    Some(directory)
}

fn user(settings: &mut Settings<'_>, owner_is_root: Option<bool>) -> Option<String> {
    let user = settings.text("user")?;
    if owner_is_root == Some(false) {
        settings.problem(
            ".user",
            "`user` needs a host home that belongs to root",
            Some("remove it: the process runs as the owner of the host home"),
        );
    }
    Some(user)
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
