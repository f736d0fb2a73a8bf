//! The plugin that does right or wrong what its pod says, on a host.

use std::fs;
use std::path::Path;

use hostfiles::{PluginEntry, PluginsYaml, read_if_present, write};
use serde_json::Value;
use simplenetes_plugin::{Digest, Manifest, ProgramGrant};

use crate::host::Host;

/// The component, which `cargo xtask plugins` builds.
pub(crate) fn component() -> Vec<u8> {
    let path = Path::new(env!("CARGO_BIN_EXE_simplenetesd"))
        .with_file_name("test-plugins")
        .join(format!("mock-{}.wasm", env!("CARGO_PKG_VERSION")));
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask plugins`", path.display()))
}

/// What it wishes for, and besides what an honest kind needs: to run what the pod declares, and to end it.
pub(crate) fn grants() -> Value {
    let mut grants = Manifest::read(&component()).unwrap().wishes;
    grants.programs.push(ProgramGrant {
        program: "{pod:program}".into(),
        arguments: vec!["{pod:args}".parse().unwrap()],
        ..ProgramGrant::default()
    });
    grants.programs.push(ProgramGrant {
        program: "true".into(),
        arguments: vec!["look".parse().unwrap()],
        ..ProgramGrant::default()
    });
    grants.signals = true;
    serde_json::to_value(grants).unwrap()
}

/// Installs it beside the plugin for native pods.
pub(crate) fn install(host: &Host) {
    looker(host, "");
    install_as(host, &component(), grants());
}

/// What it looks with does this and writes what the plugin then tells of every pod.
pub(crate) fn looker(host: &Host, script: &str) {
    host.program("looker", script);
}

/// Installs these bytes under its name, in place of what stood there.
pub(crate) fn install_as(host: &Host, component: &[u8], grants: Value) {
    let entry = PluginEntry {
        name: "mock".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        digest: Digest::of(component).to_string(),
        source: "test".into(),
        grants,
    };
    Host::put(
        &host.home().plugins_dir().join(entry.file_name()),
        component,
    );
    let path = host.home().plugins_yaml();
    let mut listed: PluginsYaml = read_if_present(&path).unwrap().unwrap();
    listed.plugins.retain(|known| known.name != entry.name);
    listed.plugins.push(entry);
    write(&path, &listed).unwrap();
}

/// A pod of its kind that should run, whose start has this behaviour.
pub(crate) fn pod(host: &Host, id: &str, behaviour: &str) {
    pod_with(host, id, behaviour, "");
}

/// Likewise, with more keys of its unit.
pub(crate) fn pod_with(host: &Host, id: &str, behaviour: &str, keys: &str) {
    let behaviour = serde_json::to_string(behaviour).unwrap();
    let unit = format!(
        "- name: main\n  restart: always\n{keys}  spec: {{program: sleep, args: ['600'], behaviour: {behaviour}}}\n"
    );
    host.pod_of("mock", id, "running", &unit);
}

/// The same, which should be in this state, with a probe, and with a step in an operation where that has no
/// place: `OPERATION STEP`.
pub(crate) fn misplacing_pod(host: &Host, id: &str, state: &str, place: &str) {
    let unit = format!(
        "- name: main\n  restart: always\n  readinessProbe: {{timeoutSeconds: 9, check: {{cmd: ['true']}}}}\n  spec: {{program: sleep, args: ['600'], behaviour: serve, misplaced: {place}}}\n"
    );
    host.pod_of("mock", id, state, &unit);
}
