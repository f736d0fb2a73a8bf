//! One operation on a pod → the steps that lead there.

use crate::pod::{Mount, Pod, Unit};

/// Variables that a process gets from the daemon's own environment.
pub(crate) const INHERITED: [&str; 8] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
];

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) operation: String,
    pub(crate) unit: Option<String>,
    pub(crate) signal: Option<String>,
    pub(crate) argv: Vec<String>,
    pub(crate) proxy_address: Option<String>,
    pub(crate) release_directory: String,
    pub(crate) owner_is_root: bool,
}

/// One step, in the words of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    MakeDirectory(String),
    Link { path: String, target: String },
    Remove(String),
    Signal { unit: String, signal: String },
    Process { unit: String, run: Run },
    Command { id: String, run: Run },
    Attach { run: Run },
}

/// A program with all that it runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) working_directory: String,
    pub(crate) user: Option<String>,
}

/// The steps of the request, or why there can be none.
pub(crate) fn plan(pod: &Pod, request: &Request) -> Result<Vec<Step>, String> {
    match request.operation.as_str() {
        // The program is on the host already, and nothing has to exist before a unit starts.
        "download" | "create" | "collect" | "tick" | "purge" => Ok(Vec::new()),
        "remove" => Ok(vec![Step::Remove("root".to_owned())]),
        "start" => start(pod, this_unit(pod, request)?, request),
        "stop" => Ok(vec![signal(this_unit(pod, request)?, "TERM")]),
        "kill" => Ok(vec![signal(this_unit(pod, request)?, "KILL")]),
        "signal" => {
            let name = request.signal.as_deref().ok_or("no signal is named")?;
            Ok(vec![signal(this_unit(pod, request)?, name)])
        }
        "shell" => attach(pod, this_unit(pod, request)?, request),
        "execute" => execute(pod, this_unit(pod, request)?, request),
        unknown => Err(format!("a native pod knows no operation `{unknown}`")),
    }
}

fn this_unit<'a>(pod: &'a Pod, request: &Request) -> Result<&'a Unit, String> {
    let name = request
        .unit
        .as_deref()
        .ok_or_else(|| format!("`{}` names no unit", request.operation))?;
    pod.units
        .iter()
        .find(|unit| unit.name == name)
        .ok_or_else(|| format!("pod {} has no unit `{name}`", pod.pod))
}

fn signal(unit: &Unit, signal: &str) -> Step {
    Step::Signal {
        unit: unit.name.clone(),
        signal: signal.to_owned(),
    }
}

/// The unit's root is made anew at each start, so a mount that is gone from the pod is gone from it.
fn start(pod: &Pod, unit: &Unit, request: &Request) -> Result<Vec<Step>, String> {
    if unit.spec.user.is_some() && !request.owner_is_root {
        return Err(format!(
            "unit {} wants to run as another user, which needs a host home that belongs to root",
            unit.name
        ));
    }
    let root = root(unit);
    let mut steps = vec![
        Step::Remove(root.clone()),
        Step::MakeDirectory(root.clone()),
    ];
    for mount in &unit.mounts {
        let path = format!("{root}/{}", mount.dest.trim_matches('/'));
        if let Some((parent, _)) = path.rsplit_once('/') {
            steps.push(Step::MakeDirectory(parent.to_owned()));
        }
        steps.push(Step::Link {
            path,
            target: source(pod, mount)?,
        });
    }
    let run = run(
        pod,
        unit,
        request,
        unit.spec.program.clone(),
        unit.spec.args.clone(),
    );
    steps.push(Step::Process {
        unit: unit.name.clone(),
        run,
    });
    Ok(steps)
}

fn execute(pod: &Pod, unit: &Unit, request: &Request) -> Result<Vec<Step>, String> {
    let (program, args) = request.argv.split_first().ok_or("no command to execute")?;
    let run = run(pod, unit, request, program.clone(), args.to_vec());
    Ok(vec![Step::Command {
        id: format!("execute in {}", unit.name),
        run,
    }])
}

/// A person's command runs where the unit does, with the unit's own environment.
fn attach(pod: &Pod, unit: &Unit, request: &Request) -> Result<Vec<Step>, String> {
    let (program, args) = request.argv.split_first().ok_or("no command to execute")?;
    let run = run(pod, unit, request, program.clone(), args.to_vec());
    Ok(vec![Step::Attach { run }])
}

fn root(unit: &Unit) -> String {
    format!("root/{}", unit.name)
}

/// Where the content of a mount lies: relative to the release directory, or on the host.
fn source(pod: &Pod, mount: &Mount) -> Result<String, String> {
    let volume = pod
        .volumes
        .iter()
        .find(|volume| volume.name == mount.volume);
    let volume =
        volume.ok_or_else(|| format!("pod {} declares no volume `{}`", pod.pod, mount.volume))?;
    match (volume.kind.as_str(), &volume.bind) {
        ("config", _) if !volume.encrypted => Ok(format!("config/{}", volume.name)),
        // The daemon keeps the plain files of an encrypted config where a ramdisk of that name would be.
        ("config" | "ramdisk", _) => Ok(format!("ramdisk/{}", volume.name)),
        ("host", Some(bind)) => Ok(bind.clone()),
        (kind, _) => Err(format!(
            "a native pod cannot mount volume `{}` of type {kind}",
            volume.name
        )),
    }
}

fn run(pod: &Pod, unit: &Unit, request: &Request, program: String, args: Vec<String>) -> Run {
    let working_directory = match unit.spec.working_directory.as_deref() {
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(path) => format!("{}/{path}", root(unit)),
        None => root(unit),
    };
    Run {
        program,
        args,
        env: environment(pod, unit, request),
        working_directory,
        user: unit.spec.user.clone(),
    }
}

fn environment(pod: &Pod, unit: &Unit, request: &Request) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = unit
        .spec
        .env
        .iter()
        .map(|variable| (variable.name.clone(), variable.value.clone()))
        .collect();
    let mut set = |name: String, value: &str| env.push((name, value.to_owned()));
    set("SNS_POD".to_owned(), &pod.pod);
    set("SNS_VERSION".to_owned(), &pod.pod_version);
    set("SNS_UNIT".to_owned(), &unit.name);
    if let Some(address) = &request.proxy_address {
        set("SNS_PROXY".to_owned(), address);
    }
    for expose in &unit.expose {
        if let (Some(target), Some(port)) = (expose.target_port, expose.host_port) {
            set(format!("SNS_PORT_{target}"), &port.to_string());
        }
    }
    for mount in &unit.mounts {
        let dest = mount.dest.trim_matches('/');
        let path = format!("{}/{}/{dest}", request.release_directory, root(unit));
        set(format!("SNS_MOUNT_{}", mount.volume), &path);
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "pod": "web", "podVersion": "1.0.0",
            "volumes": [
                {"name": "conf", "type": "config"}, {"name": "tmp1", "type": "ramdisk"},
                {"name": "keys", "type": "config", "encrypted": true},
                {"name": "data", "type": "host", "bind": "/srv/data"}, {"name": "vol", "type": "volume"}
            ],
            "units": [{
                "name": "main",
                "mounts": [
                    {"volume": "conf", "dest": "/mnt/conf"}, {"volume": "tmp1", "dest": "/tmp1/"},
                    {"volume": "data", "dest": "/mnt/data"}, {"volume": "keys", "dest": "/keys"}
                ],
                "expose": [{"targetPort": 80, "hostPort": 30000}, {"targetPort": 81}],
                "spec": {"program": "httpd", "args": ["-f"], "env": [{"name": "A", "value": "b"}]}
            }]
        }))
        .unwrap()
    }

    fn request(operation: &str) -> Request {
        Request {
            operation: operation.to_owned(),
            unit: Some("main".to_owned()),
            proxy_address: Some("10.0.0.1".to_owned()),
            release_directory: "/home/sns/host/pods/web/release/1.0.0".to_owned(),
            ..Request::default()
        }
    }

    fn check(operation: &str, expected: &[Step]) {
        assert_eq!(
            plan(&pod(), &request(operation)).as_deref(),
            Ok(expected),
            "{operation}"
        );
    }

    #[test]
    fn start_makes_the_root_links_the_mounts_and_starts_the_program() {
        let link = |path: &str, target: &str| Step::Link {
            path: path.to_owned(),
            target: target.to_owned(),
        };
        let directory = |path: &str| Step::MakeDirectory(path.to_owned());
        let env = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let root = "/home/sns/host/pods/web/release/1.0.0/root/main";
        check(
            "start",
            &[
                Step::Remove("root/main".to_owned()),
                directory("root/main"),
                directory("root/main/mnt"),
                link("root/main/mnt/conf", "config/conf"),
                directory("root/main"),
                link("root/main/tmp1", "ramdisk/tmp1"),
                directory("root/main/mnt"),
                link("root/main/mnt/data", "/srv/data"),
                directory("root/main"),
                link("root/main/keys", "ramdisk/keys"),
                Step::Process {
                    unit: "main".to_owned(),
                    run: Run {
                        program: "httpd".to_owned(),
                        args: vec!["-f".to_owned()],
                        env: vec![
                            env("A", "b"),
                            env("SNS_POD", "web"),
                            env("SNS_VERSION", "1.0.0"),
                            env("SNS_UNIT", "main"),
                            env("SNS_PROXY", "10.0.0.1"),
                            env("SNS_PORT_80", "30000"),
                            env("SNS_MOUNT_conf", &format!("{root}/mnt/conf")),
                            env("SNS_MOUNT_tmp1", &format!("{root}/tmp1")),
                            env("SNS_MOUNT_data", &format!("{root}/mnt/data")),
                            env("SNS_MOUNT_keys", &format!("{root}/keys")),
                        ],
                        working_directory: "root/main".to_owned(),
                        user: None,
                    },
                },
            ],
        );
    }

    #[test]
    fn ends_and_signals() {
        let signal = |name: &str| {
            [Step::Signal {
                unit: "main".to_owned(),
                signal: name.to_owned(),
            }]
        };
        check("stop", &signal("TERM"));
        check("kill", &signal("KILL"));
        check("remove", &[Step::Remove("root".to_owned())]);
        let hup = Request {
            signal: Some("HUP".to_owned()),
            ..request("signal")
        };
        assert_eq!(plan(&pod(), &hup).as_deref(), Ok(signal("HUP").as_slice()));
    }

    #[test]
    fn what_has_nothing_to_do_plans_nothing() {
        for operation in ["download", "create", "collect", "tick", "purge"] {
            check(operation, &[]);
        }
    }

    #[test]
    fn a_command_runs_as_the_unit_would() {
        let execute = Request {
            argv: vec!["true".to_owned(), "-x".to_owned()],
            ..request("execute")
        };
        let steps = plan(&pod(), &execute).unwrap();
        let [Step::Command { run, .. }] = steps.as_slice() else {
            panic!("{steps:?}")
        };
        assert_eq!(
            (run.program.as_str(), run.args.as_slice()),
            ("true", ["-x".to_owned()].as_slice())
        );
        assert_eq!(run.working_directory, "root/main");
        assert!(
            run.env
                .contains(&("SNS_PORT_80".to_owned(), "30000".to_owned()))
        );
    }

    #[test]
    fn impossible_requests_say_why() {
        let refusal = |pod: &Pod, request: &Request| plan(pod, request).unwrap_err();
        assert!(refusal(&pod(), &request("dance")).contains("`dance`"));
        assert!(
            refusal(
                &pod(),
                &Request {
                    unit: Some("other".to_owned()),
                    ..request("stop")
                }
            )
            .contains("no unit `other`")
        );
        assert!(
            refusal(
                &pod(),
                &Request {
                    unit: None,
                    ..request("stop")
                }
            )
            .contains("names no unit")
        );
        assert!(refusal(&pod(), &request("signal")).contains("no signal"));
        let mut as_user = pod();
        as_user.units[0].spec.user = Some("www-data".to_owned());
        assert!(refusal(&as_user, &request("start")).contains("belongs to root"));
        let mut with_volume = pod();
        with_volume.units[0].mounts[0].volume = "vol".to_owned();
        assert!(refusal(&with_volume, &request("start")).contains("type volume"));
    }
}
