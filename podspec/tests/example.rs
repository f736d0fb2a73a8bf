//! The commented example is part of the manual, so it must be right and name every key.

use podspec::EXAMPLE;

use crate::shapes::{draft, native, prepare, resolve};

#[test]
fn the_example_compiles_without_a_word() {
    let draft = draft(EXAMPLE).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(prepare(EXAMPLE).diagnostics, []);
    assert_eq!(draft.warnings(), []);
    let pod = resolve(draft);
    assert_eq!(pod.runtime, "native");
    assert!(pod.units.len() >= 2);
}

#[test]
fn the_example_shows_every_key() {
    let keys = "api runtime podVersion labels volumes name type size shared bind restart signal mounts \
        dest startupProbe readinessProbe livenessProbe expose stopTimeout targetPort hostPort hostInterface \
        clusterPort maxConn sendProxy ingress protocol domain path pathBeg pathEnd weight redirectToHttps \
        redirectLocation redirectPrefix errorfile timeout exit cmd http tcp sig encrypted unit";
    let shape = native();
    let all = keys
        .split_whitespace()
        .map(str::to_owned)
        .chain(shape.keys)
        .chain([shape.units]);
    for key in all {
        let shown = EXAMPLE.lines().any(|line| {
            let line = line.trim_start_matches(['#', ' ', '-']);
            line.starts_with(&format!("{key}:"))
        });
        assert!(shown, "the example does not show `{key}`");
    }
}
