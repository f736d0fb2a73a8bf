//! What a resolved pod declares: the values that a step of its plugin may hold.
//!
//! The operator approved them by committing the pod; the plugin only places them.

use std::collections::BTreeMap;

use podspec::{Check, CompiledPod, ReloadSignal, StartupCheck, Unit, VolumeKind};
use serde_json::Value;

/// The declared values of one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    /// Programs with their arguments: those of units, probes and signals, and the one that the daemon
    /// itself was asked to execute.
    pub(crate) commands: Vec<Vec<String>>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) images: Vec<String>,
    /// `source:dest` of every mount, and the source alone.
    pub(crate) mounts: Vec<String>,
    /// Paths of the host that the pod mounts or works in.
    pub(crate) host_paths: Vec<String>,
    /// `hostPort:targetPort` of every published port.
    pub(crate) ports: Vec<String>,
    pub(crate) users: Vec<String>,
    pub(crate) units: Vec<String>,
    /// Devices and capabilities that a container gets besides the usual.
    pub(crate) devices: Vec<String>,
    pub(crate) capabilities: Vec<String>,
    /// `true` when a unit asks for all privileges, and `false` always.
    pub(crate) privileged: Vec<String>,
    /// Name and `name-version` of the pod.
    pub(crate) names: Vec<String>,
}

/// A value in a pattern that stands for what the pod declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placeholder {
    Image,
    Env,
    Mount,
    Port,
    User,
    Device,
    Capability,
    Privileged,
    Unit,
    Name,
}

impl Placeholder {
    const ALL: [(&'static str, Self); 10] = [
        ("pod:image", Self::Image),
        ("pod:env", Self::Env),
        ("pod:mount", Self::Mount),
        ("pod:port", Self::Port),
        ("pod:user", Self::User),
        ("pod:device", Self::Device),
        ("pod:capability", Self::Capability),
        ("pod:privileged", Self::Privileged),
        ("pod:unit", Self::Unit),
        ("pod:name", Self::Name),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, placeholder)| *placeholder)
    }

    pub(crate) fn list() -> String {
        let names: Vec<String> = Self::ALL
            .iter()
            .map(|(name, _)| format!("{{{name}}}"))
            .collect();
        format!("{{pod:args}} (as a whole word), {}", names.join(", "))
    }
}

impl Declared {
    /// Reads the declarations of a pod. `asked` is the command that the daemon was asked to execute.
    pub(crate) fn of(pod: &CompiledPod, asked: &[String]) -> Self {
        let mut declared = Self {
            names: vec![
                pod.pod.to_string(),
                format!("{}-{}", pod.pod, pod.pod_version),
            ],
            privileged: vec!["false".to_owned()],
            ..Self::default()
        };
        if !asked.is_empty() {
            declared.commands.push(asked.to_vec());
        }
        for volume in &pod.volumes {
            if let VolumeKind::Host { bind } = &volume.kind {
                declared.host_paths.push(bind.clone());
            }
        }
        for unit in &pod.units {
            declared.add_unit(pod, unit);
        }
        declared
    }

    fn add_unit(&mut self, pod: &CompiledPod, unit: &Unit) {
        self.units.push(unit.name.to_string());
        self.commands.extend(unit_command(&unit.spec));
        self.commands.extend(probe_commands(unit));
        self.env.extend(unit_env(&unit.spec));
        self.images.extend(text(&unit.spec, "image"));
        self.users.extend(text(&unit.spec, "user"));
        self.devices.extend(texts(&unit.spec, "devices"));
        self.capabilities.extend(texts(&unit.spec, "capabilities"));
        if unit.spec.get("privileged") == Some(&Value::Bool(true)) {
            self.privileged.push("true".to_owned());
        }
        self.host_paths
            .extend(text(&unit.spec, "workingDirectory").filter(|path| path.starts_with('/')));
        for expose in &unit.expose {
            if let (Some(host), Some(target)) = (expose.host_port, expose.target_port) {
                self.ports.push(format!("{host}:{target}"));
            }
        }
        let sources: BTreeMap<_, _> = pod
            .volumes
            .iter()
            .map(|volume| (&volume.name, &volume.kind))
            .collect();
        for mount in &unit.mounts {
            let source = match sources.get(&mount.volume) {
                Some(VolumeKind::Host { bind }) => bind.clone(),
                _ => mount.volume.to_string(),
            };
            self.mounts.push(format!("{source}:{}", mount.dest));
            self.mounts.push(source);
        }
    }

    /// The declared values that a placeholder stands for.
    pub(crate) fn values(&self, placeholder: Placeholder) -> Box<dyn Iterator<Item = &str> + '_> {
        let list = match placeholder {
            Placeholder::Env => return Box::new(self.env.iter().map(|(name, _)| name.as_str())),
            Placeholder::Image => &self.images,
            Placeholder::Mount => &self.mounts,
            Placeholder::Port => &self.ports,
            Placeholder::User => &self.users,
            Placeholder::Device => &self.devices,
            Placeholder::Capability => &self.capabilities,
            Placeholder::Privileged => &self.privileged,
            Placeholder::Unit => &self.units,
            Placeholder::Name => &self.names,
        };
        Box::new(list.iter().map(String::as_str))
    }

    /// True when the pod declares a command of this program.
    pub(crate) fn runs(&self, program: &str) -> bool {
        self.commands
            .iter()
            .any(|command| command.first().is_some_and(|first| first == program))
    }

    /// The argument lists that `{pod:args}` stands for: those declared for this program, or, for a
    /// program that carries the pod's commands (podman), these commands as a whole.
    pub(crate) fn args_of<'a>(&'a self, program: &'a str) -> impl Iterator<Item = &'a [String]> {
        let own = self.runs(program);
        self.commands
            .iter()
            .filter_map(move |command| match command.split_first() {
                Some((first, args)) if own => (first == program).then_some(args),
                _ => Some(command.as_slice()),
            })
    }
}

fn text(spec: &Value, key: &str) -> impl Iterator<Item = String> {
    spec.get(key)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .into_iter()
}

fn texts(spec: &Value, key: &str) -> impl Iterator<Item = String> {
    let list = spec.get(key).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned)
}

fn unit_command(spec: &Value) -> Option<Vec<String>> {
    let program = spec.get("program")?.as_str()?;
    let args = spec.get("args").and_then(Value::as_array);
    let args = args.into_iter().flatten().filter_map(Value::as_str);
    Some(
        std::iter::once(program)
            .chain(args)
            .map(str::to_owned)
            .collect(),
    )
}

fn unit_env(spec: &Value) -> Vec<(String, String)> {
    let list = spec.get("env").and_then(Value::as_array);
    let pair = |item: &Value| {
        Some((
            item.get("name")?.as_str()?.to_owned(),
            item.get("value")?.as_str()?.to_owned(),
        ))
    };
    list.into_iter().flatten().filter_map(pair).collect()
}

fn probe_commands(unit: &Unit) -> Vec<Vec<String>> {
    let startup = unit
        .startup_probe
        .iter()
        .filter_map(|probe| match &probe.check {
            StartupCheck::Command(argv) => Some(argv.clone()),
            StartupCheck::Exit | StartupCheck::Http(_) | StartupCheck::Tcp(_) => None,
        });
    let probes = unit
        .readiness_probe
        .iter()
        .chain(&unit.liveness_probe)
        .filter_map(|probe| match &probe.check {
            Check::Command(argv) => Some(argv.clone()),
            Check::Http(_) | Check::Tcp(_) => None,
        });
    let signal = unit.signal.iter().filter_map(|signal| match signal {
        ReloadSignal::Command(argv) => Some(argv.clone()),
        ReloadSignal::Signal(_) => None,
    });
    startup.chain(probes).chain(signal).collect()
}
