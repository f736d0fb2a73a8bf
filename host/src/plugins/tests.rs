//! Loading, with a translator that the tests make up.

use std::ffi::OsString;

use hostfiles::{replace, write};
use simplenetes_plugin::{Helper, HelperLimits};
use tempfile::TempDir;

use super::*;

const MANIFEST: &str = "{id: a, version: 1.0.0, contract: 0.1.0, shapes: [{kind: a, units: b, keys: [], volumeTypes: []}]}";

/// A component that holds a manifest and nothing else.
fn component() -> Vec<u8> {
    let name = b"simplenetes:manifest";
    let size = 1 + name.len() + MANIFEST.len();
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    // A custom section: its number, its size in two groups of seven bits, the length of its name.
    let [low, high] = [size & 0x7f | 0x80, size >> 7];
    component.extend([0, low, high, name.len()].map(|byte| u8::try_from(byte).unwrap()));
    component.extend_from_slice(name);
    component.extend_from_slice(MANIFEST.as_bytes());
    component
}

/// A home with one plugin, which is translated by this shell script; each translation leaves a line in
/// `runs`.
fn plugins(folder: &TempDir, script: &str) -> Plugins {
    let home = HostHome::new(folder.path());
    let component = component();
    let entry = PluginEntry {
        name: "a".into(),
        version: "1.0.0".into(),
        digest: digest(&component),
        source: "test".into(),
        grants: serde_json::Value::Null,
    };
    fs::create_dir(home.plugins_dir()).unwrap();
    replace(
        &home.plugins_dir().join(entry.file_name()),
        &component,
        0o644,
    )
    .unwrap();
    let listed = PluginsYaml {
        plugins: vec![entry],
    };
    write(&home.plugins_yaml(), &listed).unwrap();
    let runs = folder.path().join("runs");
    let script = format!("echo run >> {}; {script}", runs.display());
    let helper = Helper {
        program: "sh".into(),
        args: ["-c", &script].map(OsString::from).to_vec(),
        limits: HelperLimits::default(),
    };
    let engine = Engine::new(&folder.path().join("cache"))
        .unwrap()
        .translating_by(helper);
    Plugins::new(home, engine, Vec::new())
}

fn runs(folder: &TempDir) -> usize {
    let text = fs::read_to_string(folder.path().join("runs"));
    text.unwrap_or_default().lines().count()
}

#[test]
fn loading_translates_nothing_and_says_what_is_to_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut plugins = plugins(&folder, "exit 1");
    let kinds = plugins.load(0);
    assert!(kinds.is_coming("a") && kinds.runtime("a").is_err());
    assert!(
        kinds.kinds["a"]
            .problem
            .as_ref()
            .unwrap()
            .contains("is translated")
    );
    assert!(kinds.are(&plugins.load(1)), "nothing has changed");
    assert_eq!(runs(&folder), 0);
    assert!(plugins.next_translation().is_some() && plugins.next_translation().is_none());
}

#[test]
fn what_could_not_be_translated_rests_until_it_is_due_or_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut plugins = plugins(&folder, "echo too hard >&2; exit 1");
    let kinds = plugins.load_all(0);
    assert!(!kinds.is_coming("a"));
    let problem = kinds.runtime("a").err().unwrap();
    assert!(
        problem.contains("too hard") && problem.contains("2 min"),
        "{problem}"
    );
    let due = plugins.retry_at_ms(0).unwrap();
    assert!(plugins.load_all(due - 1).are(&kinds));
    assert_eq!(runs(&folder), 1);
    plugins.load_all(due);
    assert_eq!(runs(&folder), 2, "it has rested");
    let path = plugins.home.plugins_yaml();
    let mut listed: PluginsYaml = read_if_present(&path).unwrap().unwrap();
    listed.plugins[0].grants = serde_json::json!({"signals": true});
    write(&path, &listed).unwrap();
    plugins.load_all(due);
    assert_eq!(runs(&folder), 3, "other grants");
    write(&path, &PluginsYaml::default()).unwrap();
    plugins.load_all(due);
    assert_eq!(plugins.retry_at_ms(due), None);
}
