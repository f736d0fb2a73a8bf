//! The few lines of a pod.yaml that must be known before the rest can be read: they name the plugin
//! and the version.
//!
//! They are found line by line, so that this works before variables are replaced, when the text as a
//! whole may not be YAML yet.

use names::PodVersion;

use crate::reader::{Problems, Value};
use crate::spelling::did_you_mean;
use crate::tree::{self, Content, Node};
use crate::{Diagnostic, Place};

/// The versions of the pod.yaml format that are understood, the current one last.
pub(crate) const API_VERSIONS: [&str; 2] = ["1.0.0-beta1", "1.0.0-beta2"];
/// What a version of a pod looks like.
pub(crate) const VERSION_RULE: &str = "MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCH-tag, as in 1.0.0";
/// The kind of a pod whose text names none.
pub(crate) const RUNTIME_DEFAULT: &str = "podman";

const KEYS: [&str; 3] = ["api", "runtime", "podVersion"];

/// What stands at the top of a pod.yaml. The `api` is judged with the rest of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The kind of the pod; `podman` when the text does not say.
    pub runtime: String,
    /// The version of the pod. It is always literal.
    pub pod_version: PodVersion,
}

/// Reads the header, also from a text whose variables are not replaced yet.
///
/// # Errors
/// A line is missing, stands twice or has a bad value. When only the `api` is wrong, that is left to
/// [`crate::parse`], which knows all the other mistakes too.
pub fn header(text: &str) -> Result<Header, Vec<Diagnostic>> {
    let mut problems = Problems::new();
    let nodes = KEYS.map(|key| the_only_line(text, key, &mut problems));
    let [api, runtime, version] = [0, 1, 2].map(|index: usize| {
        let (key, node) = (KEYS.get(index)?, nodes.get(index)?.as_ref()?);
        Some(Value {
            node,
            path: (*key).to_owned(),
        })
    });
    required(api, "api", "1.0.0-beta2", &mut problems)
        .and_then(|value| read_api(&value, &mut problems));
    let runtime = runtime.map_or(Some(RUNTIME_DEFAULT.to_owned()), |value| {
        literal_text(&value, &mut problems)
    });
    let version = required(version, "podVersion", VERSION_RULE, &mut problems);
    let version = version.and_then(|value| read_version(&value, &mut problems));
    let is_only_api = problems.iter().all(|problem| problem.path == "api");
    match (runtime, version) {
        (Some(runtime), Some(pod_version)) if is_only_api => Ok(Header {
            runtime,
            pod_version,
        }),
        _ => Err(problems),
    }
}

/// The version of the pod as it stands in the text; it answers `${podVersion}`.
pub(crate) fn literal_version(text: &str) -> Option<String> {
    let node = lines_of(text, "podVersion").next()?.1.ok()?;
    match node.content {
        Content::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// A version of the format that is understood.
pub(crate) fn read_api(value: &Value<'_>, problems: &mut Problems) -> Option<String> {
    value
        .word(&API_VERSIONS.map(|version| (version, version)), problems)
        .map(str::to_owned)
}

/// The version of the pod.
pub(crate) fn read_version(value: &Value<'_>, problems: &mut Problems) -> Option<PodVersion> {
    value.parsed(VERSION_RULE, problems)
}

fn literal_text(value: &Value<'_>, problems: &mut Problems) -> Option<String> {
    let is_literal = |text: &str| !text.contains("${");
    value
        .text_that("the kind itself, not a variable", is_literal, problems)
        .map(str::to_owned)
}

fn required<'t>(
    value: Option<Value<'t>>,
    key: &str,
    expected: &str,
    problems: &mut Problems,
) -> Option<Value<'t>> {
    if value.is_none() && !problems.iter().any(|problem| problem.path == key) {
        let start = Place { line: 1, column: 1 };
        let problem = Diagnostic::error(key, format!("`{key}` is missing")).at(Some(start));
        problems.push(problem.expecting(format!(
            "a line `{key}: {expected}` at the beginning of a line"
        )));
    }
    value
}

/// The value of the only line with that key at the first column.
fn the_only_line(text: &str, key: &str, problems: &mut Problems) -> Option<Node> {
    let mut first = None;
    for (line, node) in lines_of(text, key) {
        match node {
            Err(found) => problems.extend(found.into_iter().map(|problem| Diagnostic {
                path: key.to_owned(),
                ..problem
            })),
            Ok(Node {
                content: Content::Null,
                ..
            }) => {}
            Ok(_) if first.is_some() => {
                let place = Place { line, column: 1 };
                let problem =
                    Diagnostic::error(key, format!("`{key}` stands twice")).at(Some(place));
                problems.push(problem.expecting("one line, under no directive"));
            }
            Ok(node) => first = Some(node),
        }
    }
    first
}

type Line = (u32, Result<Node, Vec<Diagnostic>>);

fn lines_of<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = Line> + 't {
    text.split('\n')
        .enumerate()
        .filter_map(move |(index, line)| {
            let name = line.split_once(':')?.0.trim_end();
            let name = name.trim_matches(['"', '\'']);
            if name != key {
                return None;
            }
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let root = tree::parse(line, &|place| Place {
                line: number,
                ..place
            });
            Some((
                number,
                root.map(|root| root.get(key).cloned().unwrap_or(root)),
            ))
        })
}

/// A hint when a kind is not known, for the caller that has the list of kinds.
#[must_use]
pub fn similar_kind<'k>(runtime: &str, kinds: impl IntoIterator<Item = &'k str>) -> Option<String> {
    did_you_mean(runtime, kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> String {
        match header(text) {
            Ok(Header {
                runtime,
                pod_version,
            }) => format!("{runtime} {pod_version}"),
            Err(problems) => problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    #[test]
    fn headers_are_found_in_raw_text() {
        let check = |text: &str, expected: &str| assert_eq!(found(text), expected, "{text}");
        check("api: 1.0.0-beta1\npodVersion: 1.0.0\n", "podman 1.0.0");
        check(
            "# x\napi: \"1.0.0-beta2\" # current\r\nruntime : native\npodVersion: '0.1.2-rc1'\nx: [${y}]",
            "native 0.1.2-rc1",
        );
        check(
            "podVersion: 1.0\napi: 1.0.0-beta3",
            "2:6: error: `1.0.0-beta3` is not allowed here (at api)\n  expected: 1.0.0-beta1 or 1.0.0-beta2\n  hint: did you mean `1.0.0-beta1`?\n1:13: error: `1.0` is not allowed here (at podVersion)\n  expected: MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCH-tag, as in 1.0.0",
        );
        check("api: 2\npodVersion: 1.0.0", "podman 1.0.0");
        check(
            "api: 1.0.0-beta1\n podVersion: 1.0.0",
            "1:1: error: `podVersion` is missing (at podVersion)\n  expected: a line `podVersion: MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCH-tag, as in 1.0.0` at the beginning of a line",
        );
        check(
            "api: 1.0.0-beta1\npodVersion: 1.0.0\nruntime: ${x}",
            "3:10: error: `${x}` is not allowed here (at runtime)\n  expected: the kind itself, not a variable",
        );
        check(
            "api: 1.0.0-beta1\npodVersion: 1.0.0\npodVersion: 1.0.1",
            "3:1: error: `podVersion` stands twice (at podVersion)\n  expected: one line, under no directive",
        );
    }
}
