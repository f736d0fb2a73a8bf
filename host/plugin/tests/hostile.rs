//! The rows of the fault suite that are not a guest's own mistake in `faults.rs`: files that are no plugin,
//! imports that nobody grants, and plans that go beyond what grant and pod declare.
//!
//! | row | test |
//! |---|---|
//! | infinite loop, memory bomb, stack overflow, panic | `faults::{a_loop_…, a_memory_bomb_…, endless_recursion_…, a_panic_…}` |
//! | exit inside a call | traps, `faults::an_exit_…`; `wasi:cli/exit` is no import of the contract, [`an_import_that_nobody_grants_is_refused_by_name`] |
//! | very many log lines; huge output | `faults::{chatter_…, empty_lines_…, what_a_plugin_says_…}`; `faults::{a_flood_…, options_…, empty_items_…, what_is_fed_…}` |
//! | hung host call | cannot be: [`the_host_offers_no_call_that_waits`] |
//! | child that ignores TERM | `host/tests/steps.rs`: a plugin has no children, its steps have |
//! | path escape | [`no_path_leaves_the_granted_directories`], `faults::what_is_not_granted_…` |
//! | ungranted import | [`an_import_that_nobody_grants_is_refused_by_name`] |
//! | ungranted program or argument, empty grants | [`a_podman_like_grant_…`], [`the_native_grant_…`], `faults::an_empty_grant_…`; with the daemon: `host/tests/overreach.rs` |
//! | what no plugin may see | `host/tests/secrets.rs`, `host/tests/steps.rs` (`keep`) |
//! | truncated, corrupt or precompiled input | `cache::what_is_no_plugin_…`, [`no_corruption_of_a_component_ends_the_host`], [`no_bytes_end_the_host`], [`native_code_is_no_plugin`] |
//! | older or newer contract | [`older_and_newer_contracts_are_refused_with_both_versions`] |
//! | two pods, one poisonous | [`a_poisonous_pod_spoils_no_call_about_others`] |
//! | trap at a restart | `host/tests/plugin_faults.rs` |
//! | daemon killed while a plugin plans | `host/tests/plugin_faults.rs` |
//! | stale translation | `cache::a_component_is_translated_once_…`, [`a_translation_of_another_engine_is_not_even_tried`] |
//!
//! That `ps` names each of them and that the next call works is shown there with the real daemon, for the
//! faults of a call and for the files that are no plugin.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use serde_json::json;
use simplenetes_plugin::{
    Answer, Engine, FaultClass, Grants, LoadError, Manifest, Operation, PodView, View,
};
use testkit::importing;

use crate::components::{Loaded, component, load, load_with, mock_component, mock_view};

/// Everything that an error and its causes say.
fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!("; {next}"));
        cause = next.source();
    }
    text
}

/// Loads bytes that must be refused.
fn refusal(bytes: &[u8]) -> LoadError {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::new(&home.path().join("cache")).unwrap();
    engine.load(bytes, Grants::default()).err().unwrap()
}

/// Every function that a guest can call records or reads; none waits for anything. Whoever adds an interface
/// to the contract has to say so here.
#[test]
fn the_host_offers_no_call_that_waits() {
    const RECORD_OR_READ: [&str; 5] = ["faults", "log", "report", "steps", "view"];
    let wit = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut imports: Vec<String> = fs::read_to_string(wit.join("package.wit"))
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().strip_prefix("import "))
        .map(|name| name.trim_end_matches(';').to_owned())
        .collect();
    imports.sort();
    assert!(!imports.is_empty());
    for import in imports {
        assert!(RECORD_OR_READ.contains(&import.as_str()), "{import}");
    }
}

#[test]
fn no_path_leaves_the_granted_directories() {
    let loaded = load(&mock_component());
    for (behaviour, named) in [
        ("link away", "/etc/shadow"),
        ("climb by link", "root/../pod"),
        ("climb by remove", "root/../../.."),
        ("wander", "root/../pod"),
    ] {
        let error = loaded.plugin.plan(mock_view(behaviour)).unwrap_err();
        assert_eq!(error.class, FaultClass::NotGranted, "{behaviour}: {error}");
        assert!(error.to_string().contains(named), "{behaviour}: {error}");
        loaded.plugin.plan(mock_view("start")).unwrap();
    }
}

#[test]
fn an_import_that_nobody_grants_is_refused_by_name() {
    for (import, function) in [
        ("wasi:cli/exit@0.2.0", "now"),
        ("wasi:filesystem/preopens@0.2.0", "get-directories"),
        ("simplenetes:pod/shell@0.1.0", "run"),
    ] {
        let error = refusal(&importing(import, function));
        let text = whole(&error);
        assert!(matches!(error, LoadError::Fit { .. }), "{text}");
        assert!(
            text.contains("greedy 1.0.0") && text.contains(import),
            "{text}"
        );
    }
}

#[test]
fn native_code_is_no_plugin() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache");
    let engine = Engine::new(&cache).unwrap();
    engine.load(&mock_component(), Grants::default()).unwrap();
    let kept = fs::read_dir(&cache).unwrap().next().unwrap().unwrap();
    // As it lies in the cache, and without the seal before it.
    let native = fs::read(kept.path()).unwrap();
    for bytes in [native.as_slice(), &native[32..]] {
        let error = engine.load(bytes, Grants::default()).err().unwrap();
        assert!(matches!(error, LoadError::Manifest(_)), "{error}");
    }
}

/// A byte that is flipped anywhere leads to an error or to a plugin, never to the end of the host. Most
/// lie in the code, where only a translation could tell: those are left to the one below.
#[test]
fn no_corruption_of_a_component_ends_the_host() {
    let component = mock_component();
    let count = testkit::soak::count(2000) as usize;
    for turn in 0..count {
        let mut wrong = component.clone();
        let at = (turn * 2_654_435_761_usize) % wrong.len();
        wrong[at] ^= 1 << (turn % 8);
        let _ = Manifest::read(&wrong);
        let _ = Manifest::read(&wrong[..at]);
    }
    // Code that is nonsense is refused by the validation, before anything is translated.
    let mut nonsense = component;
    let middle = nonsense.len() / 2;
    nonsense[middle..middle + 512].fill(0xff);
    let error = refusal(&nonsense);
    assert!(
        matches!(error, LoadError::Manifest(_) | LoadError::Translate { .. }),
        "{error}"
    );
}

/// Loads bytes that are most likely no plugin: whatever they are, there is an answer.
fn load_anything(engine: &Engine, bytes: &[u8]) {
    if let Err(error) = engine.load(bytes, Grants::default()) {
        assert!(!whole(&error).is_empty());
    }
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(testkit::soak::count(1000)))]

    #[test]
    fn no_bytes_end_the_host(
        bytes in vec(any::<u8>(), 0..512),
        manifest in "\\PC{0,200}",
        pairs in vec(("(id|version|contract|shapes|wishes|kind|[a-z]{1,4})", "\\PC{0,30}"), 0..8),
    ) {
        static ENGINE: LazyLock<(tempfile::TempDir, Engine)> = LazyLock::new(|| {
            let home = tempfile::tempdir().unwrap();
            let engine = Engine::new(&home.path().join("cache")).unwrap();
            (home, engine)
        });
        let lines: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let section = "simplenetes:manifest";
        for bytes in [
            bytes.clone(),
            [testkit::component(&[]), bytes.clone()].concat(),
            testkit::component(&[(section, &bytes)]),
            testkit::component(&[(section, manifest.as_bytes())]),
            testkit::component(&[(section, lines.join("\n").as_bytes()), ("other", &bytes)]),
        ] {
            let _ = Manifest::read(&bytes);
            load_anything(&ENGINE.1, &bytes);
        }
    }
}

#[test]
fn older_and_newer_contracts_are_refused_with_both_versions() {
    let wanted = b"contract: 0.1.0";
    for found in ["contract: 0.0.9", "contract: 0.2.0", "contract: 1.0.0"] {
        let mut other = mock_component();
        let at = other
            .windows(wanted.len())
            .position(|window| window == wanted)
            .unwrap();
        other[at..at + wanted.len()].copy_from_slice(found.as_bytes());
        let text = refusal(&other).to_string();
        assert!(
            text.contains(&found.replace(':', "")) && text.contains("speaks 0.1.0"),
            "{text}"
        );
    }
}

#[test]
fn a_translation_of_another_engine_is_not_even_tried() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache");
    let component = mock_component();
    let load = || {
        let engine = Engine::new(&cache).unwrap();
        engine.load(&component, Grants::default()).unwrap();
    };
    load();
    let kept = fs::read_dir(&cache).unwrap().next().unwrap().unwrap();
    // The name ends in what stands for wasmtime's version and settings.
    let (digest, _) = kept
        .file_name()
        .to_str()
        .unwrap()
        .rsplit_once('-')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let stale = cache.join(format!("{digest}-0123456789abcdef.cwasm"));
    fs::rename(kept.path(), &stale).unwrap();
    let before = fs::read(&stale).unwrap();
    load();
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 2);
    assert_eq!(fs::read(&stale).unwrap(), before);
}

/// One line of words for a plugin with these grants; `refused` is a part of the refusal, none when it is allowed.
fn check_plan(
    loaded: &Loaded,
    spec: &serde_json::Value,
    unit: Option<&str>,
    words: &str,
    refused: Option<&str>,
) {
    let view = View {
        operation: Operation {
            name: "obey".into(),
            unit: unit.map(str::to_owned),
            ..Operation::default()
        },
        facts: BTreeMap::from([("words".into(), words.replace(' ', "\n"))]),
        pods: vec![PodView {
            id: "web:1.0.0".into(),
            spec: spec.clone(),
            ..PodView::default()
        }],
        ..View::default()
    };
    match (loaded.plugin.plan(Arc::new(view)), refused) {
        (Ok(planned), None) => assert_eq!(planned.steps.len(), 1, "{words}"),
        (Err(error), Some(part)) => {
            assert_eq!(error.class, FaultClass::NotGranted, "{words}: {error}");
            assert!(error.to_string().contains(part), "{words}: {error}");
        }
        (outcome, _) => panic!("{words}: {outcome:?}"),
    }
}

#[test]
fn the_native_grant_runs_what_the_pod_declares_and_nothing_else() {
    let manifest = Manifest::read(&component("plugins", "native-runtime")).unwrap();
    let loaded = load_with(&mock_component(), manifest.wishes);
    let spec = json!({
        "format": 1, "pod": "web", "podVersion": "1.0.0", "runtime": "native",
        "units": [{"name": "main", "spec": {"program": "httpd", "args": ["-f"]}}],
    });
    let check = |words, refused| {
        check_plan(&loaded, &spec, Some("main"), words, refused);
        check_plan(&loaded, &spec, None, words, refused);
    };
    check("httpd -f", None);
    check("httpd -f -v", Some("httpd"));
    check("httpd", Some("httpd"));
    check("/bin/sh -c true", Some("/bin/sh"));
    check("./httpd -f", Some("./httpd"));
    check_plan(&loaded, &spec, Some("other"), "httpd -f", Some("other"));
}

#[test]
fn a_podman_like_grant_gives_what_the_pod_declares_and_nothing_else() {
    let grants: Grants = serde_json::from_value(json!({"programs": [{
        "program": "podman",
        "arguments": [
            "run [--detach | --volume {pod:mount} | --device {pod:device} | --cap-add={pod:capability} | --privileged={pod:privileged} | --env {pod:env} | --publish {pod:port} | --user {pod:user}]... {pod:image} {pod:args}",
        ],
        "environment": ["{pod:env}"],
    }]}))
    .unwrap();
    let loaded = load_with(&mock_component(), grants);
    let spec = json!({
        "format": 1, "pod": "web", "podVersion": "1.0.0", "runtime": "podman",
        "volumes": [{"name": "site", "type": "host", "bind": "/srv"}],
        "units": [{
            "name": "main", "mounts": [{"volume": "site", "dest": "/mnt"}],
            "expose": [{"targetPort": 80, "hostPort": 30000, "maxConn": 1, "sendProxy": false}],
            "spec": {
                "image": "web:1", "program": "httpd", "args": ["-f"], "user": "www",
                "env": [{"name": "MODE", "value": "quiet"}],
                "devices": ["/dev/fuse"], "capabilities": ["NET_ADMIN"],
            },
        }],
    });
    let check = |options: &str, refused| {
        let (env, options) = options.split_once("env: ").unwrap_or(("", options));
        let words = format!("{env}podman run {options} web:1 httpd -f");
        check_plan(&loaded, &spec, None, &words, refused);
    };
    for declared in [
        "--detach --volume /srv:/mnt --detach",
        "--device /dev/fuse --cap-add=NET_ADMIN --privileged=false",
        "--publish 30000:80 --user www",
        "env:MODE=quiet env: --env MODE",
    ] {
        check(declared, None);
    }
    for (undeclared, named) in [
        ("--volume /:/mnt", "/:/mnt"),
        ("--volume /srv:/etc", "/srv:/etc"),
        ("--volume=/:/mnt", "--volume=/:/mnt"),
        ("--mount type=bind,src=/,dst=/mnt", "--mount"),
        ("--device /dev/sda", "/dev/sda"),
        ("--device /dev/fuse:/dev/sda", "/dev/fuse:/dev/sda"),
        ("--cap-add=SYS_ADMIN", "SYS_ADMIN"),
        ("--cap-add=NET_ADMIN,SYS_ADMIN", "SYS_ADMIN"),
        ("--cap-add=all", "all"),
        ("--privileged=true", "--privileged=true"),
        ("--privileged", "--privileged"),
        ("--env PATH", "PATH"),
        ("--env MODE=loud", "MODE=loud"),
        ("env:MODE=loud env: --env MODE", "`MODE` with this value"),
        ("env:LD_PRELOAD=evil.so env:", "LD_PRELOAD"),
        ("--publish 22:22", "22:22"),
        ("--user root", "root"),
        ("--pid host", "--pid"),
        ("--security-opt label=disable", "--security-opt"),
        ("evil:1 httpd -f", "evil:1"),
    ] {
        check(undeclared, Some(named));
    }
    for (words, named) in [
        ("podman run evil:1 httpd -f", "evil:1"),
        ("podman run web:1 sh -c true", "sh"),
        ("podman run web:1 httpd -f -v", "-v"),
        ("podman system reset --force", "system"),
        ("docker run web:1 httpd -f", "docker"),
        ("/tmp/podman run web:1 httpd -f", "/tmp/podman"),
    ] {
        check_plan(&loaded, &spec, None, words, Some(named));
    }
}

#[test]
fn privileges_are_there_for_a_pod_that_declares_them() {
    let grants: Grants = serde_json::from_value(json!({"programs": [{
        "program": "podman", "arguments": ["run --privileged={pod:privileged}"],
    }]}))
    .unwrap();
    let loaded = load_with(&mock_component(), grants);
    for (declared, refused) in [
        (json!(true), None),
        (json!("true"), Some("--privileged=true")),
        (json!(false), Some("--privileged=true")),
    ] {
        let spec = json!({
            "format": 1, "pod": "web", "podVersion": "1.0.0", "runtime": "podman",
            "units": [{"name": "main", "spec": {"privileged": declared}}],
        });
        check_plan(
            &loaded,
            &spec,
            None,
            "podman run --privileged=true",
            refused,
        );
        check_plan(&loaded, &spec, None, "podman run --privileged=false", None);
    }
}

#[test]
fn a_poisonous_pod_spoils_no_call_about_others() {
    let loaded = load(&mock_component());
    let pod = |id: &str, behaviour: &str| PodView {
        id: id.to_owned(),
        spec: json!({"behaviour": behaviour}),
        ..PodView::default()
    };
    let view = |pods: Vec<PodView>| {
        Arc::new(View {
            pods,
            answers: BTreeMap::from([("all".to_owned(), Answer::default())]),
            ..View::default()
        })
    };
    let (good, bad) = (pod("good:1.0.0", "good"), pod("bad:1.0.0", "poison"));
    let together = loaded.plugin.assess(view(vec![good.clone(), bad.clone()]));
    let error = together.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("plugin mock 0.1.0 failed in `assess`"),
        "{error}"
    );
    assert!(loaded.plugin.assess(view(vec![bad])).is_err());
    let report = loaded.plugin.assess(view(vec![good])).unwrap();
    assert_eq!(report.units.len(), 1);
}
