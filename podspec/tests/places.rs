//! A plugin's paths become places of the author's text.

use podspec::Severity;

use crate::shapes::{any_draft, draft, resolve};

const TEXT: &str = "\
#iftrue ${devmode}
# gone
#endif
api: 1.0.0-beta2
runtime: native
podVersion: 1.0.0
processes:
- name: one
  command: [sleep, '${long}', x]
- name: two
  env:
    - {name: A, value: b}
## set long=a long value that moves everything behind it
";

fn check(path: &str, expected: &str) {
    let draft = draft(TEXT).unwrap();
    let problem = draft.diagnostic(Severity::Error, path, "no", None);
    assert_eq!(problem.to_string(), expected);
}

#[test]
fn paths_of_a_plugin_lead_to_the_authors_text() {
    check(
        "units[0].command[0]",
        "9:13: error: no (at processes[0].command[0])",
    );
    check(
        "units[0].settings.command[2]",
        "9:31: error: no (at processes[0].command[2])",
    );
    check(
        "units[1].env[0].value",
        "12:24: error: no (at processes[1].env[0].value)",
    );
    check("units[1].settings", "10:3: error: no (at processes[1])");
    check("podVersion", "6:13: error: no (at podVersion)");
}

#[test]
fn paths_that_lead_to_nothing_stop_at_the_nearest_place() {
    check("units[1].image", "10:3: error: no (at processes[1].image)");
    check("units[7]", "8:3: error: no (at processes[7])");
    check("", "4:1: error: no");
    check("][.", "4:1: error: no (at ][.)");
}

#[test]
fn line_ends_of_other_systems_change_nothing() {
    let unix = resolve(draft(TEXT).unwrap());
    let other = draft(&TEXT.replace('\n', "\r\n")).unwrap();
    assert_eq!(
        other
            .diagnostic(Severity::Error, "units[1].name", "no", None)
            .place
            .unwrap()
            .line,
        10
    );
    assert_eq!(resolve(other), unix);
}

#[test]
fn a_text_with_mistakes_still_asks_its_plugin() {
    let text = "api: 1\nruntime: native\npodVersion: 1.0.0\nprocesses:\n  - nonsense\n  - name: Bad\n    command: 5\n  - {name: b, comand: 6, restart: sometimes}\n";
    let draft = any_draft(text).unwrap();
    assert!(!draft.is_sound());
    let found: Vec<_> = draft
        .diagnostics()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(
        found,
        [
            "api",
            "processes[0]",
            "processes[1].name",
            "processes[2].comand",
            "processes[2].restart",
        ]
    );
    let section = draft.section();
    assert_eq!(section["units"][0]["settings"]["command"], 5);
    assert_eq!(section["units"][1]["settings"]["command"], 6);
    let place = |path| {
        let problem = draft.diagnostic(Severity::Error, path, "no", None);
        (problem.path, problem.place.unwrap().line)
    };
    assert_eq!(
        place("units[0].settings.command"),
        ("processes[1].command".to_owned(), 7)
    );
    assert_eq!(
        place("units[1].command"),
        ("processes[2].command".to_owned(), 8)
    );
    assert_eq!(
        draft.clone().resolve(None, Default::default()),
        Err(draft.diagnostics().to_vec())
    );
}

#[test]
fn a_volume_with_a_mistake_is_not_looked_for_as_a_config() {
    let text = "api: 1.0.0-beta2\nruntime: native\npodVersion: 1.0.0\nvolumes:\n  - {name: good, type: config}\n  - {name: bad, type: volume}\nprocesses:\n  - name: a\n    command: [a]\n";
    let configs = any_draft(text).unwrap().configs();
    let names: Vec<&str> = configs.iter().map(names::VolumeName::as_str).collect();
    assert_eq!(names, ["good"]);
}
