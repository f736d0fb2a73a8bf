//! `containers:` of a pod.yaml → the resolved specification of each container, or all that is wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;

use plugin_settings::{Problem, Settings, scalar};
use serde_json::{Map, Value};

use crate::pod::{HOST_NETWORK, Spec, Variable};

/// Everything that one compile brought.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(crate) specs: Vec<(String, Spec)>,
    pub(crate) problems: Vec<Problem>,
}

/// Resolves every unit of the section, for a host whose proxy listens on this address.
pub(crate) fn compile(section: &Value, proxy_address: Option<&str>) -> Compiled {
    let mut compiled = Compiled {
        problems: unbindable(section),
        ..Compiled::default()
    };
    let mut ports = Ports::default();
    let units = section.get("units").and_then(Value::as_array);
    for (index, unit) in units.into_iter().flatten().enumerate() {
        let name = unit.get("name").and_then(Value::as_str).unwrap_or_default();
        let mut settings = Settings::of(unit, index);
        let spec = spec(&mut settings);
        compiled.problems.append(&mut settings.problems);
        compiled.problems.extend(unmountable(unit, index));
        let problems = ports.take(unit, index, name, spec.has_host_network());
        compiled.problems.extend(problems);
        compiled
            .problems
            .extend(unreachable_proxy(&spec, index, proxy_address));
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
        network: network(settings),
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

fn network(settings: &mut Settings<'_>) -> Option<String> {
    let network = settings.text("network")?;
    match network.as_str() {
        HOST_NETWORK => Some(network),
        other => {
            settings.problem(
                ".network",
                &format!("`{other}` is no network"),
                Some("`host` for the network of the host; without the line, that which the containers of the pod share"),
            );
            None
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
    if !drop.is_empty() && settings.truth("privileged") {
        settings.problem(
            ".capabilities.drop",
            "a privileged container has all capabilities, whatever is dropped",
            Some("remove `privileged`, or this line"),
        );
    }
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
        let word = scalar(item).unwrap_or_default();
        let upper = word.to_ascii_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if CAPABILITIES.contains(&word.as_str()) {
            names.push(word);
            continue;
        }
        let hint = if CAPABILITIES.contains(&plain) {
            format!("write `{plain}`")
        } else {
            "as in `NET_ADMIN`, see capabilities(7), or `ALL`".to_owned()
        };
        settings.problem(
            &format!("{path}[{index}]"),
            &format!("`{word}` is no name of a capability"),
            Some(&hint),
        );
    }
    names
}

/// The names of capabilities(7) without `CAP_`, as of Linux 6.12, and `ALL`.
#[rustfmt::skip]
const CAPABILITIES: [&str; 42] = [
    "ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
    "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
    "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT",
    "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM",
];

/// The loopback device of a container is not that of the host. Many containers never ask for the proxy, so only
/// those that name it are told.
fn unreachable_proxy(spec: &Spec, index: usize, proxy_address: Option<&str>) -> Option<Problem> {
    let address: IpAddr = proxy_address?.parse().ok()?;
    let values = spec.env.iter().map(|variable| &variable.value);
    let names_it = spec
        .args
        .iter()
        .chain(values)
        .any(|text| text.contains("proxy:"));
    let is_lost = names_it && address.is_loopback() && !spec.has_host_network();
    is_lost.then(|| Problem {
        is_warning: true,
        path: format!("units[{index}]"),
        message: format!(
            "the container cannot reach the proxy of this host, which listens on {address} only"
        ),
        hint: Some(
            "set ROUTERADDRESS in its host.env to an address of the machine's network".to_owned(),
        ),
    })
}

/// podman parts a mount at its colons.
fn unmountable(unit: &Value, index: usize) -> Vec<Problem> {
    let mounts = unit.get("mounts").and_then(Value::as_array);
    let mounts = mounts.into_iter().flatten().enumerate();
    let has_colon = |mount: &Value| {
        let dest = mount.get("dest").and_then(Value::as_str);
        dest.is_some_and(|dest| dest.contains(':'))
    };
    let bad = mounts.filter(|(_, mount)| has_colon(mount));
    let problem = |(at, _)| Problem {
        is_warning: false,
        path: format!("units[{index}].mounts[{at}].dest"),
        message: "a container can mount nothing at a path with a colon".to_owned(),
        hint: None,
    };
    bad.map(problem).collect()
}

/// Nor can it mount a path of the host that has one.
fn unbindable(section: &Value) -> Vec<Problem> {
    let volumes = section.get("volumes").and_then(Value::as_array);
    let volumes = volumes.into_iter().flatten().enumerate();
    let has_colon = |volume: &Value| {
        let bind = volume.get("bind").and_then(Value::as_str);
        bind.is_some_and(|bind| bind.contains(':'))
    };
    let bad = volumes.filter(|(_, volume)| has_colon(volume));
    let problem = |(at, _)| Problem {
        is_warning: false,
        path: format!("volumes[{at}].bind"),
        message: "a container can mount no path with a colon".to_owned(),
        hint: Some("lead a symbolic link without one there".to_owned()),
    };
    bad.map(problem).collect()
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
                if host.is_none() && port("clusterPort").is_some() {
                    note(
                        true,
                        "clusterPort",
                        "nothing leads to it: in the network of the host a cluster port leads to the host port".into(),
                        "add `hostPort`, the port that the program listens on",
                    );
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile_one(settings: &Value) -> Compiled {
        compile(
            &json!({"units": [{"name": "main", "settings": settings}]}),
            None,
        )
    }

    #[track_caller]
    fn check_problem(settings: &Value, path: &str, part_of_message: &str) {
        let problems = compile_one(settings).problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, format!("units[0].settings{path}"));
        let message = &problems[0].message;
        assert!(message.contains(part_of_message), "{message}");
    }

    #[test]
    fn everything_that_a_container_can_say() {
        let compiled = compile_one(&json!({
            "image": "docker.io/library/nginx:1.27", "command": ["nginx", "-g"], "args": ["daemon off;", 1],
            "env": [{"name": "A", "value": true}], "workingDir": "/srv", "user": "1000:1000", "network": "host",
            "readOnly": true, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "privileged": false
        }));
        assert_eq!(compiled.problems, []);
        assert_eq!(
            serde_json::to_value(&compiled.specs[0].1).unwrap(),
            json!({
                "image": "docker.io/library/nginx:1.27", "entrypoint": "[\"nginx\"]", "args": ["-g", "daemon off;", "1"],
                "env": [{"name": "A", "value": "true"}], "directory": "/srv", "user": "1000:1000", "network": "host",
                "readOnly": true, "capabilities": ["NET_BIND_SERVICE"], "dropped": ["ALL"]
            })
        );
    }

    #[test]
    fn arguments_alone_are_for_the_program_of_the_image() {
        let compiled = compile_one(&json!({"image": "a", "args": ["x"]}));
        let spec = &compiled.specs[0].1;
        assert_eq!(
            (&spec.entrypoint, spec.args.as_slice()),
            (&None, &["x".to_owned()][..])
        );
    }

    #[test]
    fn every_mistake_has_its_place() {
        check_problem(&json!({}), "", "needs an image");
        for image in ["", "-v", "a b", "--privileged"] {
            check_problem(
                &json!({"image": image}),
                ".image",
                "not the name of an image",
            );
        }
        let with = |key: &str, value: Value| json!({"image": "a", key: value});
        check_problem(&with("command", json!([])), ".command", "empty");
        check_problem(&with("command", json!([""])), ".command[0]", "no name");
        check_problem(&with("command", json!("sh -c")), ".command", "not a list");
        check_problem(&with("args", json!({})), ".args", "not a list");
        check_problem(&with("workingDir", json!("srv")), ".workingDir", "inside");
        check_problem(&with("user", json!("a b")), ".user", "no user");
        check_problem(&with("network", json!("bridge")), ".network", "no network");
        check_problem(&with("readOnly", json!("yes")), ".readOnly", "neither");
        check_problem(&with("privileged", json!(1)), ".privileged", "neither");
        check_problem(
            &with("env", json!([{"name": "1A"}])),
            ".env[0].name",
            "not the name",
        );
        check_problem(
            &with("capabilities", json!(["ALL"])),
            ".capabilities",
            "no `add`",
        );
        check_problem(
            &with("capabilities", json!({"ad": []})),
            ".capabilities.ad",
            "unknown key",
        );
        check_problem(
            &with("capabilities", json!({"add": "ALL"})),
            ".capabilities.add",
            "not a list",
        );
        for (word, hint) in [
            ("all", "`ALL`"),
            ("CAP_NET_ADMIN", "`NET_ADMIN`"),
            ("net_raw", "`NET_RAW`"),
            ("FLY", "see capabilities(7)"),
        ] {
            let settings = with("capabilities", json!({"drop": [word]}));
            check_problem(&settings, ".capabilities.drop[0]", "no name");
            let problems = compile_one(&settings).problems;
            let hinted = problems[0].hint.clone().unwrap_or_default();
            assert!(hinted.contains(hint), "{word}: {hinted}");
        }
        check_problem(
            &json!({"image": "a", "privileged": true, "capabilities": {"drop": ["ALL"]}}),
            ".capabilities.drop",
            "privileged",
        );
    }

    #[test]
    fn nothing_is_mounted_by_a_path_with_a_colon() {
        let problems = compile(&json!({
            "volumes": [{"name": "a", "type": "host", "bind": "/a"}, {"name": "b", "type": "host", "bind": "/b:c"}],
            "units": [{"name": "main", "settings": {"image": "a"}, "mounts": [{"volume": "b", "dest": "/x:ro"}]}]
        }), None)
        .problems;
        let paths: Vec<&str> = problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(paths, ["volumes[1].bind", "units[0].mounts[0].dest"]);
    }

    #[test]
    fn containers_share_their_target_ports() {
        let unit = |name: &str, network: Value, expose: Value| json!({"name": name, "settings": {"image": "a", "network": network}, "expose": expose});
        let port = json!([{"targetPort": 80, "hostPort": 8080}]);
        let problems = |units: Value| compile(&json!({"units": units}), None).problems;
        let own = json!(null);
        let found = problems(json!([
            unit("one", own.clone(), port.clone()),
            unit("two", own.clone(), port.clone())
        ]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "units[1].expose[0].targetPort");
        assert!(
            found[0].message.contains("`one` and `two`"),
            "{}",
            found[0].message
        );
        assert!(!found[0].is_warning);
        let apart = problems(json!([
            unit("one", own, port.clone()),
            unit("two", json!("host"), port)
        ]));
        assert!(apart.len() == 1 && apart[0].is_warning, "{apart:?}");
        let inside = json!([{"targetPort": 80, "clusterPort": 61000}]);
        let lost = problems(json!([
            unit("one", json!("host"), inside.clone()),
            unit("two", json!(null), inside)
        ]));
        let paths: Vec<&str> = lost.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["units[0].expose[0].clusterPort"]);
        assert!(lost[0].is_warning, "it was silently so before");
    }

    #[test]
    fn a_proxy_on_loopback_is_out_of_reach() {
        let problems = |settings: Value, address| {
            let section = json!({"units": [{"name": "main", "settings": settings}]});
            compile(&section, address).problems
        };
        let asks = json!({"image": "a", "args": ["--to=http://proxy:3000/"]});
        let found = problems(asks.clone(), Some("127.0.0.1"));
        assert!(found.len() == 1 && found[0].is_warning, "{found:?}");
        assert!(found[0].message.contains("127.0.0.1"), "{found:?}");
        let variable = json!({"image": "a", "env": [{"name": "DB", "value": "proxy:3000"}]});
        assert_eq!(problems(variable, Some("::1")).len(), 1);
        assert_eq!(problems(asks.clone(), Some("192.168.1.5")), []);
        assert_eq!(problems(asks, None), []);
        assert_eq!(problems(json!({"image": "a"}), Some("127.0.0.1")), []);
        let host = json!({"image": "a", "args": ["proxy:1"], "network": "host"});
        assert_eq!(problems(host, Some("127.0.0.1")), []);
    }
}
