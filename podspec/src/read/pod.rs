//! The top level of a pod.yaml.

use std::collections::{BTreeMap, BTreeSet};

use names::{PodName, PodVersion, VolumeName};

use super::{expose, unit, volume};
use crate::header::{RUNTIME_DEFAULT, VERSION_RULE, read_api, read_version};
use crate::reader::{Fields, Problems, Value, refuse_repeated};
use crate::tree::{Content, Node};
use crate::{CompiledPod, Diagnostic, Expose, FORMAT, Severity, Shape, Volume};

/// A pod as far as it could be read.
pub(crate) struct Reading {
    /// The pod without the kind's part.
    pub(crate) pod: CompiledPod,
    /// The kind's part of each unit.
    pub(crate) settings: Vec<unit::Settings>,
    /// The program of an executable pod.
    pub(crate) executable: Option<String>,
    /// Its ports.
    pub(crate) exposes: Vec<Expose>,
    /// The volumes of which something is wrong, so that they may be of another type.
    pub(crate) unread: BTreeSet<VolumeName>,
}

/// Reads the whole pod. When an error was added to the problems, the answer has gaps: it is good for
/// finding more problems only.
pub(crate) fn pod(
    root: &Node,
    name: &PodName,
    shape: &Shape,
    problems: &mut Problems,
) -> Option<Reading> {
    let is_executable = shape.kind == Shape::EXECUTABLE;
    let own_key = if is_executable {
        "executable"
    } else {
        shape.units.as_str()
    };
    let known = ["api", "runtime", "podVersion", "labels", "volumes", own_key];
    let fields = Value::root(root).open_fields(&crate::reader::alternatives(&known), problems)?;
    refuse_unknown(&fields, &known, shape, problems);

    let version = read_head(&fields, shape, problems);
    let labels = read_labels(&fields, problems);
    let (volumes, unread) = read_volumes(&fields, shape, problems);
    let (executable, exposes) = if is_executable {
        read_executable(&fields, shape, problems)
    } else {
        Default::default()
    };
    let (units, settings) = if is_executable {
        Default::default()
    } else {
        unit::units(&fields, shape, &volumes, problems)
    };
    let pod = CompiledPod {
        format: FORMAT,
        pod: name.clone(),
        pod_version: version?,
        runtime: shape.kind.clone(),
        plugin: None,
        labels,
        volumes,
        units,
    };
    Some(Reading {
        pod,
        settings,
        executable,
        exposes,
        unread,
    })
}

/// As [`Fields::refuse_unknown`], and an unknown list of maps is probably the list of units of
/// another kind.
fn refuse_unknown(fields: &Fields<'_>, known: &[&str], shape: &Shape, problems: &mut Problems) {
    let before = problems.len();
    fields.refuse_unknown(known, problems);
    for problem in problems
        .iter_mut()
        .skip(before)
        .filter(|problem| problem.hint.is_none())
    {
        let node = fields
            .entries
            .iter()
            .find(|entry| entry.key == problem.path)
            .map(|entry| &entry.value.content);
        let is_list_of_maps = matches!(node, Some(Content::List(items))
            if items.iter().any(|item| matches!(item.content, Content::Map(_))));
        if is_list_of_maps && !shape.units.is_empty() {
            problem.hint = Some(format!(
                "the units of a pod with `runtime: {}` stand under `{}`",
                shape.kind, shape.units
            ));
        }
    }
}

fn read_head(fields: &Fields<'_>, shape: &Shape, problems: &mut Problems) -> Option<PodVersion> {
    if let Some(api) = fields.require("api", "1.0.0-beta2", problems) {
        read_api(&api, problems);
    }
    let runtime = fields.get("runtime");
    let is_kind = |text: &str| text == shape.kind;
    match runtime {
        Some(runtime) => {
            runtime.text_that(&shape.kind, is_kind, problems);
        }
        None if !is_kind(RUNTIME_DEFAULT) => {
            let problem = fields.key_error(
                "runtime",
                format!("`runtime` is missing, which means `{RUNTIME_DEFAULT}`"),
            );
            problems.push(problem.expecting(format!("runtime: {}", shape.kind)));
        }
        None => {}
    }
    let version = fields.require("podVersion", VERSION_RULE, problems)?;
    read_version(&version, problems)
}

fn read_labels(fields: &Fields<'_>, problems: &mut Problems) -> BTreeMap<String, String> {
    const RULE: &str = "letters, digits and `_`, `.`, `/`, `-`";
    let is_label = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_./-".contains(&b))
    };
    let mut labels = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let items = fields
        .get("labels")
        .map(|list| list.list("{name, value}", problems))
        .unwrap_or_default();
    for item in items {
        let Some(label) = item.fields(&["name", "value"], problems) else {
            continue;
        };
        let name = label.require("name", RULE, problems);
        let value = label.require("value", RULE, problems);
        let name_text = name
            .as_ref()
            .and_then(|name| name.text_that(RULE, is_label, problems));
        let value_text = value.and_then(|value| value.text_that(RULE, is_label, problems));
        if let (Some(at), Some(text)) = (&name, name_text) {
            refuse_repeated(&mut seen, text, at, "label", problems);
            labels.insert(text.to_owned(), value_text.unwrap_or_default().to_owned());
        }
    }
    labels
}

/// The volumes, and the names of those that are not quite as they stand there.
fn read_volumes(
    fields: &Fields<'_>,
    shape: &Shape,
    problems: &mut Problems,
) -> (Vec<Volume>, BTreeSet<VolumeName>) {
    let mut volumes = Vec::new();
    let mut unread = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let items = fields
        .get("volumes")
        .map(|list| list.list("volumes", problems))
        .unwrap_or_default();
    for item in items {
        let before = errors(problems);
        if let Some(volume) = volume::volume(&item, shape, &mut seen, problems) {
            if errors(problems) > before {
                unread.insert(volume.name.clone());
            }
            volumes.push(volume);
        }
    }
    (volumes, unread)
}

fn errors(problems: &Problems) -> usize {
    let is_error = |problem: &&Diagnostic| problem.severity == Severity::Error;
    problems.iter().filter(is_error).count()
}

/// The program that is the pod, and the ports that it listens on.
fn read_executable(
    fields: &Fields<'_>,
    shape: &Shape,
    problems: &mut Problems,
) -> (Option<String>, Vec<Expose>) {
    const RULE: &str = "the path of the program, seen from the directory of the pod.yaml";
    let executable = fields.require("executable", "a map with file", problems);
    let Some(own) = executable.and_then(|map| map.fields(&["file", "expose"], problems)) else {
        return Default::default();
    };
    let exposes = expose::expose(&own, &mut unit::Pod::new(shape, &[]), problems);
    let is_path = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    let file = own
        .require("file", RULE, problems)
        .and_then(|file| file.text_that(RULE, is_path, problems).map(str::to_owned));
    (file, exposes)
}
