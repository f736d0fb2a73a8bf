//! What a resolved pod declares: the values that a step of its plugin may hold.
//!
//! The operator approved them by committing the pod; the plugin only places them.

mod on_host;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use podspec::{Check, CompiledPod, ReloadSignal, Shared, StartupCheck, Unit, VolumeKind};
use serde_json::Value;

use crate::Digest;
use on_host::{limits, qualified, source};

/// The declared values of one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    /// Programs with their arguments: those of units, probes and signals, and the one that the daemon
    /// itself was asked to execute.
    pub(crate) commands: Vec<Vec<String>>,
    /// The arguments of units that name no program of their own: those for the program of an image.
    pub(crate) arguments: Vec<Vec<String>>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) images: Vec<String>,
    /// `source:dest` of every mount, the source as the host knows it.
    pub(crate) mounts: Vec<String>,
    /// The names of volumes on the host.
    pub(crate) volumes: Vec<String>,
    /// Paths of the host that the pod mounts or works in.
    pub(crate) host_paths: Vec<String>,
    /// `hostPort:targetPort` of every published port, with the address that it belongs to.
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
    /// `name-version` of the pod, with the host home's id where there is one.
    pub(crate) instances: Vec<String>,
    /// Those of the volumes that nobody else shares.
    pub(crate) own_volumes: Vec<String>,
    pub(crate) versions: Vec<String>,
    /// `name=value` of the labels that the author gave.
    pub(crate) labels: Vec<String>,
    /// Numbers of the limits of units.
    pub(crate) limits: Vec<String>,
    /// What tells this specification of a unit from every other, see [`unit_digest`].
    pub(crate) digests: Vec<String>,
    /// Texts below the keys of the units' resolved specifications.
    pub(crate) specs: BTreeMap<String, Vec<String>>,
    /// What the host says of itself.
    pub(crate) facts: BTreeMap<String, String>,
}

/// A value in a pattern that stands for what the pod declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placeholder {
    Image,
    Env,
    Variable,
    Mount,
    Volume,
    OwnVolume,
    Port,
    User,
    Device,
    Capability,
    Privileged,
    Unit,
    Name,
    Instance,
    Version,
    Label,
    Limit,
    Digest,
    /// A text below this key of a unit's resolved specification.
    Spec(String),
    /// The fact of this name, not an empty one.
    Fact(String),
}

impl Placeholder {
    const ALL: [(&'static str, Self); 18] = [
        ("pod:image", Self::Image),
        ("pod:env", Self::Env),
        ("pod:variable", Self::Variable),
        ("pod:mount", Self::Mount),
        ("pod:volume", Self::Volume),
        ("pod:own-volume", Self::OwnVolume),
        ("pod:instance", Self::Instance),
        ("pod:version", Self::Version),
        ("pod:label", Self::Label),
        ("pod:limit", Self::Limit),
        ("pod:digest", Self::Digest),
        ("pod:port", Self::Port),
        ("pod:user", Self::User),
        ("pod:device", Self::Device),
        ("pod:capability", Self::Capability),
        ("pod:privileged", Self::Privileged),
        ("pod:unit", Self::Unit),
        ("pod:name", Self::Name),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.iter().find(|(known, _)| *known == name);
        match (known, name.split_once(':')) {
            (Some((_, placeholder)), _) => Some(placeholder.clone()),
            (None, Some(("spec", key))) => Some(Self::Spec(key.to_owned())),
            (None, Some(("fact", name))) => Some(Self::Fact(name.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn list() -> String {
        let names: Vec<String> = Self::ALL
            .iter()
            .map(|(name, _)| format!("{{{name}}}"))
            .collect();
        let names = names.join(", ");
        format!("{{pod:args}} (as a whole word), {names}, {{spec:KEY}}, {{fact:NAME}}")
    }
}

impl Declared {
    /// Reads the declarations of a pod, on a host with these facts. `asked` is the command that the daemon
    /// was asked to execute.
    pub(crate) fn of(
        pod: &CompiledPod,
        facts: &BTreeMap<String, String>,
        asked: &[String],
    ) -> Self {
        let release = format!("{}-{}", pod.pod, pod.pod_version);
        let label = |(name, value): (&String, &String)| format!("{name}={value}");
        let mut declared = Self {
            instances: vec![qualified(&release, facts)],
            names: vec![pod.pod.to_string(), release],
            versions: vec![pod.pod_version.to_string()],
            labels: pod.labels.iter().map(label).collect(),
            privileged: vec!["false".to_owned()],
            facts: facts.clone(),
            ..Self::default()
        };
        if !asked.is_empty() {
            declared.commands.push(asked.to_vec());
        }
        for volume in &pod.volumes {
            match &volume.kind {
                VolumeKind::Host { bind } => declared.host_paths.push(bind.clone()),
                VolumeKind::Volume { shared } => {
                    let name = source(pod, volume, facts);
                    let own = name.clone().filter(|_| *shared == Shared::No);
                    declared.own_volumes.extend(own);
                    declared.volumes.extend(name);
                }
                VolumeKind::Ramdisk { .. } | VolumeKind::Config { .. } => {}
            }
        }
        for unit in &pod.units {
            declared.add_unit(pod, unit);
        }
        declared
    }

    /// What is declared where no single pod is asked about.
    pub(crate) fn of_host(facts: &BTreeMap<String, String>) -> Self {
        Self {
            facts: facts.clone(),
            ..Self::default()
        }
    }

    fn add_unit(&mut self, pod: &CompiledPod, unit: &Unit) {
        self.units.push(unit.name.to_string());
        self.digests
            .extend(serde_json::to_value(unit).map(|unit| unit_digest(&unit)));
        match unit_command(&unit.spec) {
            Some(command) => self.commands.push(command),
            None => self.arguments.push(texts(&unit.spec, "args").collect()),
        }
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
        self.limits.extend(unit.limits.iter().flat_map(limits));
        for key in unit
            .spec
            .as_object()
            .into_iter()
            .flat_map(|spec| spec.keys())
        {
            let held = self.specs.entry(key.clone()).or_default();
            held.extend(text(&unit.spec, key).chain(texts(&unit.spec, key)));
        }
        self.add_ports(unit);
        for mount in &unit.mounts {
            let volume = pod.volumes.iter().find(|known| known.name == mount.volume);
            let source = volume.and_then(|volume| source(pod, volume, &self.facts));
            self.mounts
                .extend(source.map(|source| format!("{source}:{}", mount.dest)));
        }
    }

    /// A port that names no address belongs to that of the host, where the host names one.
    fn add_ports(&mut self, unit: &Unit) {
        for expose in &unit.expose {
            if let (Some(host), Some(target)) = (expose.host_port, expose.target_port) {
                let bind = self.facts.get("bind-address");
                let address = expose
                    .host_interface
                    .or_else(|| bind.and_then(|text| text.parse().ok()));
                self.ports.push(match address {
                    None => format!("{host}:{target}"),
                    Some(IpAddr::V4(address)) => format!("{address}:{host}:{target}"),
                    Some(IpAddr::V6(address)) => format!("[{address}]:{host}:{target}"),
                });
            }
        }
    }

    /// The declared values that a placeholder stands for.
    pub(crate) fn values<'a>(
        &'a self,
        placeholder: &Placeholder,
    ) -> Box<dyn Iterator<Item = Cow<'a, str>> + 'a> {
        let list = match placeholder {
            Placeholder::Env => {
                return Box::new(self.env.iter().map(|(name, _)| Cow::from(name)));
            }
            Placeholder::Variable => {
                let pair = |(name, value): &(String, String)| format!("{name}={value}").into();
                return Box::new(self.env.iter().map(pair));
            }
            Placeholder::Spec(key) => {
                return Box::new(self.specs.get(key).into_iter().flatten().map(Cow::from));
            }
            Placeholder::Fact(name) => {
                let fact = self.facts.get(name).filter(|fact| !fact.is_empty());
                return Box::new(fact.into_iter().map(Cow::from));
            }
            Placeholder::Image => &self.images,
            Placeholder::Mount => &self.mounts,
            Placeholder::Port => &self.ports,
            Placeholder::User => &self.users,
            Placeholder::Device => &self.devices,
            Placeholder::Capability => &self.capabilities,
            Placeholder::Privileged => &self.privileged,
            Placeholder::Unit => &self.units,
            Placeholder::Name => &self.names,
            Placeholder::Volume => &self.volumes,
            Placeholder::OwnVolume => &self.own_volumes,
            Placeholder::Instance => &self.instances,
            Placeholder::Version => &self.versions,
            Placeholder::Label => &self.labels,
            Placeholder::Limit => &self.limits,
            Placeholder::Digest => &self.digests,
        };
        Box::new(list.iter().map(Cow::from))
    }

    /// True when the pod declares a command of this program.
    pub(crate) fn runs(&self, program: &str) -> bool {
        self.commands
            .iter()
            .any(|command| command.first().is_some_and(|first| first == program))
    }

    /// The argument lists that `{pod:args}` stands for: those declared for `own`, the pod's program, or, for a
    /// program that carries the pod's commands (podman), these commands as a whole, and the arguments for
    /// the programs of images.
    pub(crate) fn args_of<'a>(
        &'a self,
        own: Option<&'a str>,
    ) -> impl Iterator<Item = &'a [String]> {
        let arguments = self.arguments.iter().filter(move |_| own.is_none());
        let commands =
            self.commands
                .iter()
                .filter_map(move |command| match (command.split_first(), own) {
                    (Some((first, args)), Some(program)) => (first == program).then_some(args),
                    _ => Some(command.as_slice()),
                });
        commands.chain(arguments.map(Vec::as_slice))
    }
}

/// What tells this specification of a unit from every other: 16 hexadecimal digits of the SHA-256 of its
/// JSON.
pub(crate) fn unit_digest(unit: &Value) -> String {
    let digest = Digest::of(unit.to_string().as_bytes()).to_string();
    digest.chars().take(16).collect()
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
