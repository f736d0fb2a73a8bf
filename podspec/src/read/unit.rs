//! Units: what all kinds of them have in common.

use std::collections::{BTreeMap, BTreeSet};

use names::{HostPort, SignalName, UnitName};
use serde_json::{Map, Value as Json};

use super::{expose, ingress, limits, mount, probe};
use crate::reader::{Fields, Problems, Value, refuse_repeated};
use crate::spelling::{closest, did_you_mean};
use crate::{Diagnostic, Protocol, ReloadSignal, Restart, STOP_GRACE_SECONDS, Shape, Unit, Volume};

/// The keys of a unit that all kinds share.
const KEYS: [&str; 10] = [
    "name",
    "restart",
    "signal",
    "mounts",
    "startupProbe",
    "readinessProbe",
    "livenessProbe",
    "expose",
    "stopTimeout",
    "limits",
];

/// What must be known about the other units while one of them is read.
pub(super) struct Pod<'a> {
    pub(super) shape: &'a Shape,
    volumes: &'a [Volume],
    /// Host ports that are taken, with the place where they are.
    pub(super) host_ports: BTreeMap<HostPort, String>,
    /// What the ingress speaks on each of its ports.
    pub(super) binds: BTreeMap<u16, Protocol>,
    names: BTreeSet<UnitName>,
    /// Units that startup probes signal; whether they exist is known at the end only.
    pub(super) targets: Vec<(UnitName, Diagnostic)>,
}

impl<'a> Pod<'a> {
    /// A pod without units.
    pub(super) fn new(shape: &'a Shape, volumes: &'a [Volume]) -> Self {
        Self {
            shape,
            volumes,
            host_ports: BTreeMap::new(),
            binds: BTreeMap::new(),
            names: BTreeSet::new(),
            targets: Vec::new(),
        }
    }
}

/// What a unit says in the words of its kind.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The unit's number in the list of the text, from 0.
    pub(crate) index: usize,
    /// The kind's own keys.
    pub(crate) own: Map<String, Json>,
}

/// Reads the list of units, and the kind's own keys of each.
pub(super) fn units(
    top: &Fields<'_>,
    shape: &Shape,
    volumes: &[Volume],
    problems: &mut Problems,
) -> (Vec<Unit>, Vec<Settings>) {
    let mut pod = Pod::new(shape, volumes);
    let list = top.get(&shape.units);
    let items = list
        .map(|list| list.list("units", problems))
        .unwrap_or_default();
    if items.is_empty() && !problems.iter().any(|problem| problem.path == shape.units) {
        let problem = top.key_error(
            &shape.units,
            format!("the pod has no `{}`, so nothing will run", shape.units),
        );
        problems.push(Diagnostic {
            severity: crate::Severity::Warning,
            ..problem
        });
    }
    let mut units = Vec::new();
    let mut settings = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if let Some((unit, own)) = read_unit(item, &mut pod, problems) {
            units.push(unit);
            settings.push(Settings { index, own });
        }
    }
    refuse_unknown_targets(&pod, problems);
    (units, settings)
}

fn read_unit(
    item: &Value<'_>,
    pod: &mut Pod<'_>,
    problems: &mut Problems,
) -> Option<(Unit, Map<String, Json>)> {
    let fields = item.open_fields("name and more", problems)?;
    let kinds_keys: Vec<&str> = pod
        .shape
        .keys
        .iter()
        .map(String::as_str)
        .filter(|key| !KEYS.contains(key))
        .collect();
    let known: Vec<&str> = KEYS.iter().chain(&kinds_keys).copied().collect();
    fields.refuse_unknown(&known, problems);

    // A unit without a name gets one, so that its other mistakes are found too.
    let name = read_name(&fields, pod, problems).or_else(|| "unnamed".parse().ok());
    let expose = expose::expose(&fields, pod, problems);
    let unit = Unit {
        restart: read_restart(&fields, problems),
        signal: fields
            .get("signal")
            .and_then(|value| read_signal(&value, problems)),
        mounts: mount::mounts(&fields, pod.shape, pod.volumes, problems),
        startup_probe: fields
            .get("startupProbe")
            .and_then(|value| probe::startup(&value, pod, problems)),
        readiness_probe: fields
            .get("readinessProbe")
            .and_then(|value| probe::probe(&value, problems)),
        liveness_probe: fields
            .get("livenessProbe")
            .and_then(|value| probe::probe(&value, problems)),
        expose,
        stop_grace_seconds: read_stop_grace(&fields, problems),
        limits: limits::limits(&fields, pod.shape, problems),
        spec: Json::Null,
        name: name?,
    };
    let own = own_settings(&fields, &kinds_keys, &known);
    Some((unit, own))
}

/// The kind's part of a unit. A key that is no key is taken for the one that was probably meant, so
/// that the plugin does not miss what is there, and judges its value; a pod with it is never compiled.
fn own_settings(fields: &Fields<'_>, kinds_keys: &[&str], known: &[&str]) -> Map<String, Json> {
    let mut own = Map::new();
    for entry in fields.entries {
        let key = entry.key.as_str();
        let meant = if known.contains(&key) {
            Some(key)
        } else {
            closest(key, known.iter().copied())
        };
        let is_there = |meant: &str| fields.entries.iter().any(|entry| entry.key == meant);
        if let Some(meant) = meant.filter(|meant| kinds_keys.contains(meant))
            && (meant == key || !is_there(meant))
        {
            own.insert(meant.to_owned(), entry.value.to_json());
        }
    }
    own
}

fn read_name(fields: &Fields<'_>, pod: &mut Pod<'_>, problems: &mut Problems) -> Option<UnitName> {
    let value = fields.require("name", UnitName::RULE, problems)?;
    let name: UnitName = value.parsed(UnitName::RULE, problems)?;
    refuse_repeated(&mut pod.names, name.clone(), &value, "name", problems);
    Some(name)
}

fn read_restart(fields: &Fields<'_>, problems: &mut Problems) -> Restart {
    let Some(value) = fields.get("restart") else {
        return Restart::default();
    };
    let Some(text) = value.text(Restart::RULE, problems) else {
        return Restart::default();
    };
    text.parse().unwrap_or_else(|_| {
        let words = [
            "never",
            "always",
            "on-failure",
            "on-config",
            "on-interval:SECONDS",
        ];
        problems.push(
            value
                .refused(text, Restart::RULE)
                .hinting(did_you_mean(text, words)),
        );
        Restart::default()
    })
}

fn read_stop_grace(fields: &Fields<'_>, problems: &mut Problems) -> u32 {
    let value = fields.get("stopTimeout");
    value
        .and_then(|value| value.number(0..=86_400, problems))
        .unwrap_or(STOP_GRACE_SECONDS)
}

/// The original writes a list with exactly one item.
fn read_signal(value: &Value<'_>, problems: &mut Problems) -> Option<ReloadSignal> {
    const RULE: &str = "one item, `sig: NAME` or `cmd: [..]`";
    let items = value.list(RULE, problems);
    let [item] = items.as_slice() else {
        if !items.is_empty() {
            problems.push(
                value
                    .error(format!("the list has {} items", items.len()))
                    .expecting(RULE),
            );
        }
        return None;
    };
    let fields = item.fields(&["sig", "cmd"], problems)?;
    match (fields.get("sig"), fields.get("cmd")) {
        (Some(sig), None) => read_signal_name(&sig, problems).map(ReloadSignal::Signal),
        (None, Some(cmd)) => cmd.argv(problems).map(ReloadSignal::Command),
        _ => {
            problems.push(
                item.error("a signal is either a name or a command")
                    .expecting(RULE),
            );
            None
        }
    }
}

fn read_signal_name(value: &Value<'_>, problems: &mut Problems) -> Option<String> {
    const RULE: &str = "the name of a signal, as in HUP, USR1 or TERM";
    let text = value.text(RULE, problems)?;
    if let Ok(signal) = text.parse::<SignalName>() {
        return Some(signal.to_string());
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = SignalName::ALL.iter().map(|signal| signal.as_str());
    problems.push(value.refused(text, RULE).hinting(did_you_mean(name, known)));
    None
}

fn refuse_unknown_targets(pod: &Pod<'_>, problems: &mut Problems) {
    for (target, problem) in pod
        .targets
        .iter()
        .filter(|(target, _)| !pod.names.contains(target))
    {
        let hint = did_you_mean(target.as_str(), pod.names.iter().map(UnitName::as_str));
        problems.push(problem.clone().hinting(hint));
    }
}

/// Remembers what the ingress speaks on a port; two protocols on one port cannot be.
pub(super) fn claim_bind(pod: &mut Pod<'_>, rule: &ingress::Bind<'_>, problems: &mut Problems) {
    let first = *pod.binds.entry(rule.port).or_insert(rule.protocol);
    if first != rule.protocol {
        let message = format!(
            "port {} of the ingress speaks {first} in another rule of this pod",
            rule.port
        );
        problems.push(
            rule.at
                .error(message)
                .expecting(format!("protocol {first}, or another `bind`")),
        );
    }
}
