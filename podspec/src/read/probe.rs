//! Probes.

use names::UnitName;

use super::unit::Pod;
use crate::compiled::TIMEOUT_SECONDS;
use crate::reader::{Fields, Problems, Value, alternatives};
use crate::{Check, HttpCheck, Probe, StartupCheck, StartupProbe, TcpCheck};

const CHECKS: [&str; 3] = ["cmd", "http", "tcp"];
const STARTUP_CHECKS: [&str; 4] = ["exit", "cmd", "http", "tcp"];

/// A readiness or liveness probe.
pub(super) fn probe(value: &Value<'_>, problems: &mut Problems) -> Option<Probe> {
    let fields = value.fields(&["timeout", "cmd", "http", "tcp"], problems)?;
    let timeout_seconds = read_timeout(&fields, problems);
    the_only_check(&fields, &CHECKS, problems)?;
    Some(Probe {
        timeout_seconds,
        check: read_check(&fields, problems)?,
    })
}

/// A startup probe.
pub(super) fn startup(
    value: &Value<'_>,
    pod: &mut Pod<'_>,
    problems: &mut Problems,
) -> Option<StartupProbe> {
    let fields = value.fields(
        &["timeout", "exit", "cmd", "http", "tcp", "signal"],
        problems,
    )?;
    let timeout_seconds = read_timeout(&fields, problems);
    let signal = read_targets(&fields, pod, problems);
    let check = if the_only_check(&fields, &STARTUP_CHECKS, problems)? == "exit" {
        StartupCheck::Exit
    } else {
        read_check(&fields, problems)?.into()
    };
    Some(StartupProbe {
        timeout_seconds,
        check,
        signal,
    })
}

fn read_timeout(fields: &Fields<'_>, problems: &mut Problems) -> u32 {
    let value = fields.get("timeout");
    value
        .and_then(|value| value.number(1..=86_400, problems))
        .unwrap_or(TIMEOUT_SECONDS)
}

/// The key of the check, of which there must be exactly one. `exit: false` is as good as none.
fn the_only_check<'k>(
    fields: &Fields<'_>,
    keys: &[&'k str],
    problems: &mut Problems,
) -> Option<&'k str> {
    let mut given = Vec::new();
    for key in keys {
        let Some(value) = fields.get(key) else {
            continue;
        };
        if *key != "exit" || value.boolean(problems)? {
            given.push(*key);
        }
    }
    if let [key] = given.as_slice() {
        return Some(*key);
    }
    let message = if given.is_empty() {
        "the probe asks nothing".to_owned()
    } else {
        format!(
            "the probe asks {} things at once: {}",
            given.len(),
            given.join(", ")
        )
    };
    problems.push(
        fields
            .of
            .error(message)
            .expecting(format!("one of {}", alternatives(keys))),
    );
    None
}

fn read_check(fields: &Fields<'_>, problems: &mut Problems) -> Option<Check> {
    if let Some(cmd) = fields.get("cmd") {
        return cmd.argv(problems).map(Check::Command);
    }
    if let Some(http) = fields.get("http") {
        let fields = http.fields(&["port", "path"], problems)?;
        let port = read_port(&fields, problems);
        let path = fields.get("path").map_or(Some("/"), |path| {
            path.text_that(PATH_RULE, is_page, problems)
        });
        return Some(Check::Http(HttpCheck {
            port: port?,
            path: path?.to_owned(),
        }));
    }
    let fields = fields.get("tcp")?.fields(&["port"], problems)?;
    Some(Check::Tcp(TcpCheck {
        port: read_port(&fields, problems)?,
    }))
}

const PATH_RULE: &str = "the path of a page, beginning with `/`";

/// The path ends up in the first line of a request, so it must not break out of it.
fn is_page(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic())
}

fn read_port(fields: &Fields<'_>, problems: &mut Problems) -> Option<u16> {
    fields
        .require("port", "the target port, from 1 to 65535", problems)?
        .number(1..=u16::MAX, problems)
}

/// Units to signal: `- container: NAME`, as the original has it, or `- unit: NAME` for any kind.
fn read_targets(fields: &Fields<'_>, pod: &mut Pod<'_>, problems: &mut Problems) -> Vec<UnitName> {
    const RULE: &str = "the name of a unit of this pod";
    let items = fields
        .get("signal")
        .map(|list| list.list("{container} or {unit}", problems))
        .unwrap_or_default();
    let mut targets = Vec::new();
    for item in items {
        let Some(fields) = item.fields(&["container", "unit"], problems) else {
            continue;
        };
        let named = (fields.get("container"), fields.get("unit"));
        let ((Some(value), None) | (None, Some(value))) = named else {
            problems.push(
                item.error("exactly one unit is named by each item")
                    .expecting("container: NAME"),
            );
            continue;
        };
        if let Some(name) = value.parsed::<UnitName>(RULE, problems) {
            let unknown = value.error(format!("the pod has no unit `{name}` to signal"));
            pod.targets.push((name.clone(), unknown));
            targets.push(name);
        }
    }
    targets
}
