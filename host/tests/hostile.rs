//! Plugins that go wrong in the real daemon, and components that are hard to translate: each fault is named
//! where the operator looks, and nobody else notices.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::PathBuf;

use simplenetes_plugin::{Engine, Grants, Helper, HelperError, HelperLimits, LoadError};

use crate::host::{Host, is_running, kill, native_component, pid, shell};
use crate::mock;

const PODS: usize = 49;
const DAEMON: &str = env!("CARGO_BIN_EXE_simplenetesd");

#[test]
fn a_poisonous_pod_is_named_and_forty_nine_others_run_and_restart() {
    let host = Host::new();
    mock::install(&host);
    let ids: Vec<String> = (0..PODS).map(|n| format!("web{n}:1.0.0")).collect();
    for id in &ids {
        let units = shell("main", "restart: always", "exec sleep 600");
        host.pod(id, "running", &units);
    }
    let bad = "bad:1.0.0";
    mock::pod(&host, bad, "poison");

    let _daemon = host.daemon();
    let status = host.wait(bad, "the fault in the status", |status| {
        status
            .message
            .contains("plugin mock 0.1.0 failed in `plan`")
    });
    assert!(status.message.contains("panicked"), "{status:?}");
    for id in &ids {
        host.wait(id, "the pod to run", is_running);
    }
    // The plugin has failed; whoever ends is started again all the same.
    let before = host.wait(&ids[0], "the pod to run", is_running);
    kill(pid(&before));
    host.wait(&ids[0], "the restart", |status| {
        is_running(status) && status.units[0].start_count == 2
    });
    for id in &ids[1..] {
        let status = host.status(id).unwrap();
        assert!(is_running(&status), "{status:?}");
        assert_eq!(status.units[0].start_count, 1, "{status:?}");
        assert_eq!(status.message, "", "{id}");
    }
}

fn helper(program: &str, args: &[&str], limits: HelperLimits) -> Helper {
    Helper {
        program: PathBuf::from(program),
        args: args.iter().map(OsString::from).collect(),
        limits,
    }
}

/// Loads the native plugin with this helper and nothing in the cache.
fn load_by(helper: Helper) -> Result<(), HelperError> {
    let cache = tempfile::tempdir().unwrap();
    let engine = Engine::new(&cache.path().join("cache"))
        .unwrap()
        .translating_by(helper);
    match engine.load(&native_component(), Grants::default()) {
        Ok(_) => Ok(()),
        Err(LoadError::Helper { source, .. }) => Err(source),
        Err(other) => panic!("{other}: {:?}", other.source()),
    }
}

#[test]
fn the_helper_translates_what_the_daemon_can_load() {
    load_by(helper(DAEMON, &["translate"], HelperLimits::default())).unwrap();
}

#[test]
fn a_translation_that_wants_too_much_memory_costs_an_error() {
    let limits = HelperLimits {
        memory_mib: 16,
        ..HelperLimits::default()
    };
    let error = load_by(helper(DAEMON, &["translate"], limits)).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

#[test]
fn a_translation_that_is_too_large_costs_an_error() {
    let limits = HelperLimits {
        output_mib: 0,
        ..HelperLimits::default()
    };
    let error = load_by(helper(DAEMON, &["translate"], limits)).unwrap_err();
    assert!(matches!(error, HelperError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("write 0 MiB"), "{error}");
}

#[test]
fn a_translation_without_an_end_is_ended() {
    let limits = HelperLimits {
        cpu_seconds: 0,
        ..HelperLimits::default()
    };
    // Sleeps as many seconds as the limits make together.
    let error = load_by(helper("sleep", &["600"], limits)).unwrap_err();
    assert!(matches!(error, HelperError::Late(_)), "{error}");
}

#[test]
fn what_is_wrong_with_a_component_is_said_by_the_helper() {
    let error = load_by(helper(
        "sh",
        &["-c", "echo no code >&2; exit 1"],
        HelperLimits::default(),
    ));
    let error = error.unwrap_err();
    assert!(
        matches!(&error, HelperError::Refused(said) if said == "no code"),
        "{error}"
    );
}
