//! Runtime plugin `podman`: the units of a pod are containers under podman.
//!
//! This file holds the exports of the contract and nothing else; the thought is in the pure modules,
//! which know no WIT and are tested as ordinary Rust. Restart policies, probes, logs and back-off are
//! the daemon's.

mod argv;
mod bindings;
mod called;
mod compile;
mod image;
mod looks;
mod network;
mod plan;
mod pod;

use bindings::exports::simplenetes::pod::runtime::{Fault, Guest, Report, Steps, View};
use bindings::simplenetes::pod::log;
use bindings::simplenetes::pod::steps::Options;

/// The plugin.
pub struct PodmanRuntime;

const PODMAN: &str = "podman";
/// Variables that podman gets from the daemon's own environment.
const INHERITED: [&str; 23] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
    "CONTAINERS_REGISTRIES_CONF",
    "REGISTRY_AUTH_FILE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// A download that says nothing for so long is ended.
const SILENCE_MS: u64 = 60_000;

impl Guest for PodmanRuntime {
    fn compile(view: &View, report: &Report) -> Result<(), Fault> {
        log_panics();
        let section = parse(&view.section(), "the section of the pod")?;
        let compiled = compile::compile(&section, view.fact("proxy-address").as_deref());
        for (unit, spec) in compiled.specs {
            report.resolved(&unit, &to_json(&spec)?);
        }
        for problem in compiled.problems {
            let severity = if problem.is_warning {
                "warning"
            } else {
                "error"
            };
            report.diagnostic(
                severity,
                &problem.path,
                &problem.message,
                problem.hint.as_deref(),
            );
        }
        Ok(())
    }

    fn observe(view: &View, steps: &Steps) -> Result<(), Fault> {
        log_panics();
        let Some(id) = view.fact("host-id") else {
            // There is nothing that the containers of this host home have in common.
            return Ok(());
        };
        steps.look(looks::LIST, PODMAN, &argv::list(&id), &options())
    }

    fn assess(view: &View, report: &Report) -> Result<(), Fault> {
        log_panics();
        let Some(answer) = answer(view, looks::LIST) else {
            return Ok(());
        };
        let containers = looks::read(&answer).map_err(|message| retry(&message))?;
        let host_id = view.fact("host-id");
        for id in view.pods() {
            let truth = |unit: &str| {
                let json = view.unit_truth(&id, unit);
                json.and_then(|json| serde_json::from_str(&json).ok())
                    .unwrap_or_default()
            };
            let pod = this_pod(view, &id)?;
            let (units, message) = looks::assess(&pod, host_id.as_deref(), &containers, truth);
            for unit in units {
                report.unit(&id, &unit.name, unit.state, unit.pid, unit.exit);
            }
            if let Some(message) = message {
                report.message(&id, &message);
            }
        }
        Ok(())
    }

    fn plan(view: &View, steps: &Steps, report: &Report) -> Result<(), Fault> {
        log_panics();
        let id = view
            .pods()
            .into_iter()
            .next()
            .ok_or_else(|| give_up("no pod in the view"))?;
        let pod = this_pod(view, &id)?;
        let request = request(view, &id, &pod);
        let plan =
            plan::plan(&pod, &request, |look| answer(view, look)).map_err(
                |refusal| match refusal {
                    plan::Refusal::GiveUp(message) => give_up(&message),
                    plan::Refusal::Retry(message) => retry(&message),
                },
            )?;
        for step in &plan.steps {
            record(steps, step)?;
        }
        if let Some(memory) = plan.memory {
            report.keep(&id, to_json(&memory)?.as_bytes());
        }
        Ok(())
    }
}

fn request(view: &View, id: &str, pod: &pod::Pod) -> plan::Request {
    let runs = |unit: &&pod::Unit| {
        let json = view.unit_truth(id, &unit.name);
        let truth: Option<pod::Truth> = json.and_then(|json| serde_json::from_str(&json).ok());
        truth.is_some_and(|truth| truth.running)
    };
    let flag = |name: &str| view.argument(name).is_some_and(|value| value == "true");
    plan::Request {
        operation: view.operation(),
        unit: view.unit(),
        signal: view.argument("signal"),
        part: view.argument("part"),
        force: flag("force"),
        again: flag("again"),
        has_terminal: flag("terminal"),
        argv: view.argv(),
        host: argv::Host {
            id: view.fact("host-id"),
            release_directory: view.fact("release-directory").unwrap_or_default(),
            bind_address: view.fact("bind-address"),
            proxy_address: view.fact("proxy-address"),
            registry_config: view.fact("registry-config"),
            owner_is_root: view
                .fact("owner-is-root")
                .is_none_or(|value| value == "true"),
        },
        // What cannot be read is as good as nothing: it is a help only.
        memory: serde_json::from_slice(&view.kept(id)).unwrap_or_default(),
        running: pod
            .units
            .iter()
            .filter(runs)
            .map(|unit| unit.name.clone())
            .collect(),
    }
}

fn answer(view: &View, look: &str) -> Option<plan::Answer> {
    let answer = view.answer(look)?;
    Some(plan::Answer {
        exit: answer.exit(),
        stdout: answer.stdout(),
        stderr: answer.stderr(),
    })
}

fn this_pod(view: &View, id: &str) -> Result<pod::Pod, Fault> {
    let json = view
        .pod(id)
        .ok_or_else(|| give_up(&format!("the view does not hold pod {id}")))?;
    parse(&json, "the compiled pod")
}

fn parse<T: serde::de::DeserializeOwned>(json: &str, what: &str) -> Result<T, Fault> {
    serde_json::from_str(json).map_err(|error| give_up(&format!("cannot read {what}: {error}")))
}

fn to_json(value: &impl serde::Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| give_up(&format!("cannot write JSON: {error}")))
}

fn give_up(message: &str) -> Fault {
    fault("give-up", message)
}

fn retry(message: &str) -> Fault {
    fault("retry", message)
}

fn fault(code: &str, message: &str) -> Fault {
    Fault {
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

fn record(steps: &Steps, step: &plan::Step) -> Result<(), Fault> {
    match step {
        plan::Step::MakeDirectory(path) => steps.make_directory(path),
        plan::Step::Remove(path) => steps.remove(path),
        plan::Step::Signal { unit, signal } => steps.signal(unit, signal),
        plan::Step::Detached {
            unit,
            args,
            pid_file,
            monitor_file,
        } => {
            let options = options();
            options.pid_file(pid_file);
            options.monitor_file(monitor_file);
            steps.detached(unit, PODMAN, args, &options)
        }
        plan::Step::Command { id, args } => steps.command(id, PODMAN, args, &options()),
        plan::Step::Download { id, args } => {
            let options = options();
            options.silence(SILENCE_MS);
            steps.command(id, PODMAN, args, &options)
        }
        plan::Step::Look { id, args } => steps.look(id, PODMAN, args, &options()),
        plan::Step::Attach { args } => steps.attach(PODMAN, args, &options()),
    }
}

fn options() -> Options {
    let options = Options::new();
    for name in INHERITED {
        options.inherit(name);
    }
    options
}

/// Without it the host sees only that the sandbox stopped, not why.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| log::write("error", &info.to_string())));
}

#[cfg(test)]
mod tests {
    use super::INHERITED;

    #[test]
    fn the_manifest_asks_for_what_podman_inherits() {
        let manifest = include_str!("../plugin.yaml");
        let (_, list) = manifest.split_once("inherit: [").unwrap();
        let (list, _) = list.split_once(']').unwrap();
        let asked: Vec<&str> = list.split(',').map(str::trim).collect();
        assert_eq!(asked, INHERITED);
    }
}
