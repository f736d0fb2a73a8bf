//! What goes in and comes out of the calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::components::{load, mock_component, mock_view};
use podspec::Severity;
use serde_json::json;
use simplenetes_plugin::{Answer, CompileInput, FaultClass, Step, View};

#[test]
fn a_look_and_its_answer() {
    let loaded = load(&mock_component());
    let view = mock_view("");
    let looks = loaded.plugin.observe(Arc::clone(&view)).unwrap();
    let [
        Step::Look {
            id, program, args, ..
        },
    ] = looks.as_slice()
    else {
        panic!("{looks:?}")
    };
    assert_eq!(
        (id.as_str(), program.as_str(), args.as_slice()),
        ("all", "looker", ["--all".to_owned()].as_slice())
    );

    let early = loaded.plugin.assess(Arc::clone(&view)).unwrap_err();
    assert_eq!(early.class, FaultClass::Retry, "{early}");

    let answer = Answer {
        exit: 0,
        stdout: b"all is well".to_vec(),
        stderr: b"kept".to_vec(),
        ..Answer::default()
    };
    let view = View {
        answers: BTreeMap::from([("all".to_owned(), answer)]),
        ..(*view).clone()
    };
    let report = loaded.plugin.assess(Arc::new(view)).unwrap();
    assert_eq!(
        (report.units[0].state.as_str(), report.units[0].pid),
        ("running", Some(7))
    );
    assert_eq!(
        report.messages,
        [("mock:1.0.0".to_owned(), "all is well".to_owned())]
    );
    assert_eq!(report.state["mock:1.0.0"], b"kept");
    assert_eq!(report.wake_at_ms["mock:1.0.0"], 1_001_000);
}

#[test]
fn a_detached_unit_arrives_with_the_file_of_its_process() {
    let loaded = load(&mock_component());
    let planned = loaded.plugin.plan(mock_view("detach")).unwrap();
    let [Step::Detached { unit, options, .. }] = planned.steps.as_slice() else {
        panic!("{planned:?}")
    };
    assert_eq!(unit, "main");
    assert_eq!(options.pid_file.as_deref(), Some("root/main.pid"));
}

#[test]
fn observing_is_looking_only() {
    let loaded = load(&mock_component());
    let error = loaded.plugin.observe(Arc::default()).unwrap_err();
    assert!(error.to_string().contains("looks only"), "{error}");
}

#[test]
fn a_plan_is_about_one_pod() {
    let loaded = load(&mock_component());
    let error = loaded.plugin.plan(Arc::default()).unwrap_err();
    assert!(error.to_string().contains("0 pods"), "{error}");
}

#[test]
fn compile_reads_the_section_and_the_files_beside_it() {
    let loaded = load(&mock_component());
    let section = json!({"units": [{"name": "main", "settings": {"behaviour": "good"}}]});
    let files = BTreeMap::from([("notes.txt".to_owned(), "hello".to_owned())]);
    let output = loaded
        .plugin
        .compile(CompileInput {
            section: section.clone(),
            files,
            ..CompileInput::default()
        })
        .unwrap();
    assert_eq!(output.specs["main"], section);
    let [diagnostic] = output.diagnostics.as_slice() else {
        panic!("{output:?}")
    };
    assert_eq!(
        (diagnostic.severity, diagnostic.message.as_str()),
        (Severity::Warning, "notes.txt: hello")
    );
    assert_eq!(diagnostic.hint.as_deref(), Some("read it"));
}
