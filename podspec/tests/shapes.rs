//! The kinds of the tests, and the whole way of a text through the crate.

use std::collections::BTreeMap;

use podspec::{
    CompiledPod, Diagnostic, Draft, PluginRef, Preprocessed, Shape, header, parse, preprocess,
};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

pub(crate) fn native() -> Shape {
    Shape {
        kind: "native".to_owned(),
        units: "processes".to_owned(),
        keys: words("command args env workingDir user"),
        volume_types: words("ramdisk config host"),
        listens_on_host: true,
        links_mounts: true,
        takes_limits: true,
    }
}

pub(crate) fn podman() -> Shape {
    Shape {
        kind: "podman".to_owned(),
        units: "containers".to_owned(),
        keys: words(
            "image command args env workingDir user network readOnly capabilities privileged",
        ),
        volume_types: words("config ramdisk volume host"),
        listens_on_host: false,
        links_mounts: false,
        takes_limits: true,
    }
}

/// The shape of the kind that a text asks for; podman's when it asks for none that exists.
pub(crate) fn shape_for(text: &str) -> Shape {
    match header(text).map(|header| header.runtime).as_deref() {
        Ok("native") => native(),
        Ok("executable") => Shape::executable(),
        _ => podman(),
    }
}

/// Variables of a test stand in its text, in lines `## set NAME=value`; ports are counted up.
pub(crate) fn prepare(text: &str) -> Preprocessed {
    let given: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## set ")?.split_once('='))
        .collect();
    let mut host_port = 29_999;
    let mut cluster_port = 60_999;
    preprocess(text, &mut |name| {
        if name.starts_with("HOSTPORTAUTO") {
            host_port += 1;
            return Some(host_port.to_string());
        }
        if name.starts_with("CLUSTERPORTAUTO") {
            cluster_port += 1;
            return Some(cluster_port.to_string());
        }
        given.get(name).map(|value| (*value).to_owned())
    })
}

/// The draft of a text, sound or not.
pub(crate) fn any_draft(text: &str) -> Result<Draft, Vec<Diagnostic>> {
    parse(&prepare(text), &"web".parse().unwrap(), &shape_for(text))
}

/// The draft of a text without errors.
pub(crate) fn draft(text: &str) -> Result<Draft, Vec<Diagnostic>> {
    let draft = any_draft(text)?;
    if draft.is_sound() {
        Ok(draft)
    } else {
        Err(draft.diagnostics().to_vec())
    }
}

/// Resolves with a plugin that answers with the unit's own settings.
pub(crate) fn resolve(draft: Draft) -> CompiledPod {
    let section = draft.section();
    let specs = section["units"].as_array().unwrap().iter().map(|unit| {
        let name = unit["name"].as_str().unwrap().parse().unwrap();
        (name, unit["settings"].clone())
    });
    let specs = specs.collect();
    let plugin = PluginRef {
        id: "test".to_owned(),
        version: "0.1.0".to_owned(),
        digest: "00".to_owned(),
    };
    draft.resolve(Some(plugin), specs).unwrap()
}

/// The number of cases of a property test: all of them in a soak, a tenth otherwise.
pub(crate) fn cases(full: u32) -> u32 {
    match std::env::var("SOAK") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => (full / 10).max(10),
    }
}
