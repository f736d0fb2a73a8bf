//! The native plugin through the sandbox, with its own wishes as grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::components::{component, load};
use serde_json::json;
use simplenetes_plugin::{CompileInput, FaultClass, Operation, PodView, Step, UnitTruth, View};

fn view(operation: Operation) -> Arc<View> {
    let spec = json!({
        "format": 1, "pod": "web", "podVersion": "1.0.0", "runtime": "native",
        "volumes": [{"name": "conf", "type": "config"}],
        "units": [{
            "name": "main", "mounts": [{"volume": "conf", "dest": "/mnt/conf"}],
            "expose": [{"targetPort": 80, "hostPort": 30000, "maxConn": 1, "sendProxy": false}],
            "readinessProbe": {"timeoutSeconds": 1, "check": {"cmd": ["test", "-e", "ready"]}},
            "spec": {"program": "httpd", "args": ["-f"]},
        }],
    });
    Arc::new(View {
        operation,
        facts: BTreeMap::from([("proxy-address".to_owned(), "127.0.0.1".to_owned())]),
        pods: vec![PodView {
            id: "web:1.0.0".to_owned(),
            spec,
            ..PodView::default()
        }],
        ..View::default()
    })
}

fn operation(name: &str, argv: &[&str]) -> Operation {
    let argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
    Operation {
        name: name.to_owned(),
        unit: Some("main".to_owned()),
        argv,
        ..Operation::default()
    }
}

#[test]
fn a_start_ends_in_the_declared_process() {
    let loaded = load(&component("plugins", "native-runtime"));
    let planned = loaded.plugin.plan(view(operation("start", &[]))).unwrap();
    let Some(Step::Process {
        unit,
        program,
        args,
        options,
    }) = planned.steps.last()
    else {
        panic!("{planned:?}")
    };
    assert_eq!(
        (unit.as_str(), program.as_str(), args.as_slice()),
        ("main", "httpd", ["-f".to_owned()].as_slice())
    );
    assert!(
        options
            .env
            .contains(&("SNS_PORT_80".to_owned(), "30000".to_owned()))
    );
    assert!(
        options
            .env
            .contains(&("SNS_PROXY".to_owned(), "127.0.0.1".to_owned()))
    );
    assert!(planned.steps.contains(&Step::Link {
        path: "root/main/mnt/conf".to_owned(),
        target: "config/conf".to_owned()
    }));
}

#[test]
fn every_operation_of_a_lifecycle_is_within_the_wishes() {
    let loaded = load(&component("plugins", "native-runtime"));
    for name in [
        "download", "create", "start", "stop", "kill", "remove", "purge",
    ] {
        loaded
            .plugin
            .plan(view(operation(name, &[])))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let probe = loaded
        .plugin
        .plan(view(operation("execute", &["test", "-e", "ready"])))
        .unwrap();
    assert!(
        matches!(probe.steps.as_slice(), [Step::Command { .. }]),
        "{probe:?}"
    );
}

#[test]
fn it_knows_units_from_their_shims() {
    let loaded = load(&component("plugins", "native-runtime"));
    let mut view = (*view(Operation::default())).clone();
    view.pods[0].units = vec![UnitTruth {
        unit: "main".to_owned(),
        pid: Some(42),
        running: true,
        ..UnitTruth::default()
    }];
    assert!(
        loaded
            .plugin
            .observe(Arc::new(view.clone()))
            .unwrap()
            .is_empty()
    );
    let report = loaded.plugin.assess(Arc::new(view)).unwrap();
    assert_eq!(
        (report.units[0].state.as_str(), report.units[0].pid),
        ("running", Some(42))
    );
}

#[test]
fn compile_resolves_or_reports() {
    let loaded = load(&component("plugins", "native-runtime"));
    let compile = |settings| {
        let section = json!({"units": [{"name": "main", "settings": settings}]});
        loaded
            .plugin
            .compile(CompileInput {
                section,
                ..CompileInput::default()
            })
            .unwrap()
    };
    assert_eq!(
        compile(json!({"command": ["httpd", "-f"]})).specs["main"]["program"],
        "httpd"
    );
    let wrong = compile(json!({"command": "httpd -f"}));
    assert_eq!(wrong.diagnostics[0].path, "units[0].settings.command");
}

#[test]
fn an_unknown_operation_is_a_fault() {
    let loaded = load(&component("plugins", "native-runtime"));
    let error = loaded
        .plugin
        .plan(view(operation("dance", &[])))
        .unwrap_err();
    assert_eq!(error.class, FaultClass::GiveUp, "{error}");
}
