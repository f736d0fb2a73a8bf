//! The commented example is part of the manual, so it must be right and name every key.

use podspec::{EXAMPLE, EXAMPLE_CONTAINERS};

use crate::shapes::{draft, native, podman, resolve};

#[test]
fn the_example_compiles_without_a_word() {
    let draft = draft(EXAMPLE).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(draft.diagnostics(), []);
    let pod = resolve(draft);
    assert_eq!(pod.runtime, "native");
    assert!(pod.units.len() >= 2);
}

#[test]
fn the_example_of_containers_compiles_without_a_word() {
    let draft = draft(EXAMPLE_CONTAINERS).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(draft.diagnostics(), []);
    assert_eq!(resolve(draft).runtime, "podman");
}

fn shows(example: &str, key: &str) -> bool {
    example.lines().any(|line| {
        let line = line.trim_start_matches(['#', ' ', '-']);
        line.starts_with(&format!("{key}:"))
    })
}

#[test]
fn the_example_of_containers_shows_their_keys() {
    for key in podman().keys {
        let shown = shows(EXAMPLE_CONTAINERS, &key);
        assert!(shown, "the example does not show `{key}`");
    }
}

#[test]
fn the_example_shows_every_key() {
    let keys = "api runtime podVersion labels volumes name type size shared bind restart signal mounts \
        dest startupProbe readinessProbe livenessProbe expose stopTimeout targetPort hostPort hostInterface \
        clusterPort maxConn sendProxy acceptProxy ingress protocol domain path pathBeg pathEnd weight redirectToHttps \
        redirectLocation redirectPrefix errorfile timeout exit cmd http tcp sig encrypted unit limits memory cpu pids";
    let shape = native();
    let all = keys
        .split_whitespace()
        .map(str::to_owned)
        .chain(shape.keys)
        .chain([shape.units]);
    for key in all {
        assert!(shows(EXAMPLE, &key), "the example does not show `{key}`");
    }
}

/// The manual of the format, which is the examples between paragraphs.
fn manual() -> String {
    format!(
        "# pod.yaml\n\n\
        What a pod.yaml can say, shown by a pod of native processes and [one of containers](#containers). This page\n\
        is made from [`podspec/src/example.yaml`](../podspec/src/example.yaml) and\n\
        [`podspec/src/example_containers.yaml`](../podspec/src/example_containers.yaml), which are compiled by tests;\n\
        change them there and renew this page with `BLESS=1 cargo test -p podspec`.\n\n\
        ```yaml\n{EXAMPLE}```\n\n\
        ## Containers\n\n\
        ```yaml\n{EXAMPLE_CONTAINERS}```\n\n\
        Every mistake is reported with its line and column, all of them at once: unknown keys too, with the key\n\
        that was probably meant. Lists may be indented or not.\n"
    )
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "only BLESS=1 writes, and nobody reads at that moment"
)]
fn the_manual_is_the_example() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/POD_YAML.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, manual()).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(present, manual(), "renew docs/POD_YAML.md with BLESS=1");
}
