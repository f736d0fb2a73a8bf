//! One look at all containers of the host home → how every unit of every pod is.

use serde::Deserialize;

use crate::called;
use crate::plan::Answer;
use crate::pod::{Pod, Truth};

/// The id of the look.
pub(crate) const LIST: &str = "containers";

/// A container in the answer of `podman ps --format=json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Container {
    names: Vec<String>,
    state: String,
    pid: u32,
    exit_code: i32,
    labels: Option<std::collections::BTreeMap<String, String>>,
}

impl Container {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }
}

/// What is so of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) pid: Option<u32>,
    pub(crate) exit: Option<i32>,
}

/// Reads the answer; the error is a sentence about a podman that does not answer as it should.
pub(crate) fn read(answer: &Answer) -> Result<Vec<Container>, String> {
    if answer.exit != 0 {
        return Err(crate::image::failed(LIST, answer));
    }
    // Older versions say `null` when there is none.
    let containers: Option<Vec<Container>> =
        serde_json::from_slice(&answer.stdout).map_err(|error| {
            format!("podman lists its containers in a form that cannot be read: {error}")
        })?;
    Ok(containers.unwrap_or_default())
}

/// How the units of a pod are, and what people should know of it.
pub(crate) fn assess(
    pod: &Pod,
    host_id: Option<&str>,
    containers: &[Container],
    truth: impl Fn(&str) -> Truth,
) -> (Vec<Unit>, Option<String>) {
    let mut units = Vec::new();
    let mut messages = Vec::new();
    for unit in &pod.units {
        let name = called::container(pod, unit, host_id);
        let known = truth(&unit.name);
        let found = containers
            .iter()
            .find(|container| container.names.contains(&name));
        let (state, pid, exit) = match found {
            Some(container) => match container.state.as_str() {
                "running" | "paused" | "stopping" => {
                    ("running", Some(container.pid).filter(|pid| *pid > 0), None)
                }
                "exited" | "stopped" => ("exited", None, Some(container.exit_code)),
                _ => ("absent", None, None),
            },
            // A container is removed when it has ended: its shim knows how it did.
            None if known.exit.is_some() => ("exited", None, known.exit),
            None => ("absent", None, None),
        };
        if let Some(container) = found {
            if container.state == "paused" {
                messages.push(format!("{} is paused: podman unpause {name}", unit.name));
            }
            let digest = container.label(called::LABEL_DIGEST);
            if state == "running" && digest.is_some_and(|digest| digest != unit.digest) {
                let name = &unit.name;
                messages.push(format!(
                    "{name} runs as it was specified before: `rerun {name}` starts it as it is now"
                ));
            }
        }
        units.push(Unit {
            name: unit.name.clone(),
            state,
            pid,
            exit,
        });
    }
    (
        units,
        Some(messages.join("; ")).filter(|text| !text.is_empty()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(containers: &serde_json::Value) -> Answer {
        Answer {
            stdout: containers.to_string().into_bytes(),
            ..Answer::default()
        }
    }

    fn assessed(containers: &serde_json::Value, exit: Option<i32>) -> (Unit, Option<String>) {
        let pod: Pod = serde_json::from_value(json!({
            "pod": "web", "podVersion": "1.0.0",
            "units": [{"name": "main", "digest": "new", "spec": {"image": "a"}}],
        }))
        .unwrap();
        let containers = read(&answer(containers)).unwrap();
        let truth = |_: &str| Truth {
            exit,
            ..Truth::default()
        };
        let (mut units, message) = assess(&pod, Some("3f9ac211"), &containers, truth);
        (units.remove(0), message)
    }

    fn container(state: &str, digest: &str) -> serde_json::Value {
        json!([{
            "Names": ["main-web-1.0.0-3f9ac211"], "State": state, "Pid": 77, "ExitCode": 3,
            "Labels": {"io.simplenetes.digest": digest}
        }])
    }

    #[track_caller]
    fn check(
        containers: &serde_json::Value,
        expected: (&str, Option<u32>, Option<i32>),
        said: &str,
    ) {
        let (unit, message) = assessed(containers, None);
        assert_eq!((unit.state, unit.pid, unit.exit), expected);
        let message = message.unwrap_or_default();
        assert!(
            message.contains(said) && message.is_empty() == said.is_empty(),
            "{message}"
        );
    }

    #[test]
    fn states() {
        check(
            &container("running", "new"),
            ("running", Some(77), None),
            "",
        );
        check(&container("exited", "new"), ("exited", None, Some(3)), "");
        check(&container("created", "new"), ("absent", None, None), "");
        check(
            &container("paused", "new"),
            ("running", Some(77), None),
            "podman unpause main-web-1.0.0-3f9ac211",
        );
        check(
            &container("running", "old"),
            ("running", Some(77), None),
            "`rerun main`",
        );
        check(&json!([]), ("absent", None, None), "");
        // So says an older podman when there is none.
        check(&json!(null), ("absent", None, None), "");
        assert_eq!(assessed(&json!([]), Some(7)).0.exit, Some(7));
    }

    #[test]
    fn an_answer_that_is_none() {
        let failed = Answer {
            exit: 125,
            stderr: b"Error: database is locked\n".to_vec(),
            ..Answer::default()
        };
        assert!(read(&failed).unwrap_err().contains("database is locked"));
        let garbled = Answer {
            stdout: b"CONTAINER ID".to_vec(),
            ..Answer::default()
        };
        assert!(read(&garbled).unwrap_err().contains("cannot be read"));
    }
}
