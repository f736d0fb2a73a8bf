//! `containers:` of a pod.yaml → the resolved specification of each container, or all that is wrong.

use std::collections::BTreeMap;

use plugin_settings::{Problem, Settings, scalar};
use serde_json::{Map, Value};

use crate::pod::{Spec, Variable};

/// Everything that one compile brought.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(crate) specs: Vec<(String, Spec)>,
    pub(crate) problems: Vec<Problem>,
}

/// Resolves every unit of the section.
pub(crate) fn compile(section: &Value) -> Compiled {
    let mut compiled = Compiled::default();
    let mut ports = Ports::default();
    let units = section.get("units").and_then(Value::as_array);
    for (index, unit) in units.into_iter().flatten().enumerate() {
        let name = unit.get("name").and_then(Value::as_str).unwrap_or_default();
        let mut settings = Settings::of(unit, index);
        let spec = spec(&mut settings);
        compiled.problems.append(&mut settings.problems);
        let problems = ports.take(unit, index, name, spec.host_network);
        compiled.problems.extend(problems);
        compiled.specs.push((name.to_owned(), spec));
    }
    compiled
}

fn spec(settings: &mut Settings<'_>) -> Spec {
    let command = settings.texts("command");
    let mut args = settings.texts("args");
    let (capabilities, dropped) = capabilities(settings);
    let env = settings.env().into_iter();
    Spec {
        image: image(settings),
        entrypoint: entrypoint(settings, &command, &mut args),
        args,
        env: env.map(|(name, value)| Variable { name, value }).collect(),
        directory: directory(settings),
        user: user(settings),
        host_network: host_network(settings),
        read_only: settings.truth("readOnly"),
        capabilities,
        dropped,
        privileged: settings.truth("privileged"),
    }
}

fn image(settings: &mut Settings<'_>) -> String {
    if !settings.has("image") {
        settings.problem(
            "",
            "a container needs an image",
            Some("add `image: REGISTRY/NAME:TAG`"),
        );
        return String::new();
    }
    let image = settings.text("image").unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if !image.starts_with(|c: char| c.is_ascii_alphanumeric()) || !image.chars().all(is_name) {
        settings.problem(
            ".image",
            &format!("`{image}` is not the name of an image"),
            Some("as in `docker.io/library/nginx:1.27` or `NAME@sha256:DIGEST`"),
        );
    }
    image
}

/// `command` is the program in place of the image's own, whose arguments it takes with it, as in podman.
fn entrypoint(
    settings: &mut Settings<'_>,
    command: &[String],
    args: &mut Vec<String>,
) -> Option<String> {
    let (program, first_args) = match command.split_first() {
        Some((program, _)) if program.is_empty() => {
            settings.problem(".command[0]", "the program has no name", None);
            return None;
        }
        Some(split) => split,
        None => {
            if settings.get("command").is_some_and(Value::is_array) {
                settings.problem(
                    ".command",
                    "the command is empty",
                    Some(
                        "name the program as its first item, or remove the line: the image has one",
                    ),
                );
            }
            return None;
        }
    };
    args.splice(0..0, first_args.iter().cloned());
    // A list of one: podman splits any other text at its blanks.
    Some(Value::from(vec![program.clone()]).to_string())
}

fn directory(settings: &mut Settings<'_>) -> Option<String> {
    let directory = settings.text("workingDir")?;
    if !directory.starts_with('/') {
        settings.problem(
            ".workingDir",
            "the working directory of a container is a path inside of it",
            Some("begin it with `/`"),
        );
    }
    Some(directory)
}

fn user(settings: &mut Settings<'_>) -> Option<String> {
    let user = settings.text("user")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    if user.is_empty() || !user.chars().all(is_name) {
        settings.problem(
            ".user",
            &format!("`{user}` is no user"),
            Some("a user of the image, as in `nobody`, `1000` or `1000:1000`"),
        );
    }
    Some(user)
}

fn host_network(settings: &mut Settings<'_>) -> bool {
    match settings.text("network").as_deref() {
        None => false,
        Some("host") => true,
        Some(other) => {
            settings.problem(
                ".network",
                &format!("`{other}` is no network"),
                Some("`host` for the network of the host; without the line, that which the containers of the pod share"),
            );
            false
        }
    }
}

/// `capabilities: {add: […], drop: […]}`.
fn capabilities(settings: &mut Settings<'_>) -> (Vec<String>, Vec<String>) {
    let lists = match settings.get("capabilities") {
        None => return Default::default(),
        Some(Value::Object(lists)) => lists,
        Some(_) => {
            settings.problem(
                ".capabilities",
                "`capabilities` has no `add` and no `drop`",
                Some("write `capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}`"),
            );
            return Default::default();
        }
    };
    if let Some(unknown) = lists.keys().find(|key| *key != "add" && *key != "drop") {
        settings.problem(
            &format!(".capabilities.{unknown}"),
            &format!("unknown key `{unknown}`"),
            Some("expected `add` and `drop`"),
        );
    }
    let add = names_of_capabilities(settings, lists, "add");
    let drop = names_of_capabilities(settings, lists, "drop");
    (add, drop)
}

fn names_of_capabilities(
    settings: &mut Settings<'_>,
    lists: &Map<String, Value>,
    key: &str,
) -> Vec<String> {
    let path = format!(".capabilities.{key}");
    let items = match lists.get(key) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(_) => {
            let hint = format!("write `{key}: [NET_ADMIN]`");
            settings.problem(&path, &format!("`{key}` is not a list"), Some(&hint));
            return Vec::new();
        }
    };
    let mut names = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let name = scalar(item).unwrap_or_default();
        let is_name = |b: u8| b.is_ascii_uppercase() || b == b'_';
        if name.is_empty() || !name.bytes().all(is_name) {
            settings.problem(
                &format!("{path}[{index}]"),
                "this is no name of a capability",
                Some("as in `NET_ADMIN`, or `ALL`"),
            );
        } else {
            names.push(name);
        }
    }
    names
}

/// The containers of a pod share one network, and with it its ports.
#[derive(Default)]
struct Ports {
    taken: BTreeMap<u64, String>,
}

impl Ports {
    fn take(&mut self, unit: &Value, index: usize, name: &str, host_network: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let exposes = unit.get("expose").and_then(Value::as_array);
        for (at, expose) in exposes.into_iter().flatten().enumerate() {
            let port = |key: &str| expose.get(key).and_then(Value::as_u64);
            let (target, host) = (port("targetPort"), port("hostPort"));
            let mut note = |is_warning, key: &str, message: String, hint: &str| {
                problems.push(Problem {
                    is_warning,
                    path: format!("units[{index}].expose[{at}].{key}"),
                    message,
                    hint: Some(hint.to_owned()),
                });
            };
            if host_network {
                if host.is_some() && target.is_some() && host != target {
                    note(
                        true,
                        "hostPort",
                        "nothing leads from this port to the target port in the network of the host".into(),
                        "let the program listen on the host port, and name it as target port too",
                    );
                }
                continue;
            }
            let Some(target) = target else { continue };
            match self.taken.get(&target) {
                Some(other) if other != name => note(
                    false,
                    "targetPort",
                    format!(
                        "the containers `{other}` and `{name}` both have target port {target}, and they share one network"
                    ),
                    "let one of them listen on another port",
                ),
                Some(_) => {}
                None => {
                    self.taken.insert(target, name.to_owned());
                }
            }
        }
        problems
    }
}
