//! The fault suite in the real daemon: each fault is stopped, `ps` of the pod names plugin and fault, nobody
//! else notices, and the next call works. The head of `host/plugin/tests/hostile.rs` lists the rows.

use std::fs;

use hostfiles::PodStatus;
use serde_json::Value;
use simplenetes_plugin::{Engine, Grants};
use testkit::{importing, wait_until};

use crate::host::{Host, LIMIT, is_running, kill, pid, shell};
use crate::mock;

const WEB: &str = "web:1.0.0";
const NEIGHBOUR: &str = "neighbour:1.0.0";
const NAMED: &str = "plugin mock 0.1.0 failed in `plan`";

/// A host with the plugin, and a native pod that nothing should happen to.
fn host() -> Host {
    let host = Host::new();
    mock::install(&host);
    let unit = shell("main", "restart: always", "exec sleep 600");
    host.pod(NEIGHBOUR, "running", &unit);
    host
}

/// What `ps` shows to a person.
fn ps(host: &Host, id: &str) -> String {
    let pod = host.release(id).pod();
    let output = host.run(&["pod", pod.to_str().unwrap(), "ps"]);
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `ps` of the pod says all of this.
fn wait_for_words(host: &Host, id: &str, words: &[&str]) -> PodStatus {
    let status = host.wait(id, &words.join(" … "), |status| {
        words.iter().all(|word| status.message.contains(word))
    });
    let says_all = |shown: &str| words.iter().all(|word| shown.contains(word));
    let shown = || Ok(Some(ps(host, id)).filter(|shown| says_all(shown)));
    wait_until("the words in ps", LIMIT, shown).unwrap();
    status
}

fn assert_untouched(host: &Host, before: &PodStatus) {
    let after = host.status(NEIGHBOUR).unwrap();
    assert!(is_running(&after), "{after:?}");
    assert_eq!(pid(&after), pid(before));
    assert_eq!(after.message, "");
}

#[test]
fn each_fault_of_a_call_is_named_by_ps_and_the_next_call_works() {
    const ROWS: [(&str, &str); 17] = [
        ("loop", "did not answer within 2000 ms"),
        ("bomb", "more than 32 MiB of memory"),
        ("recurse", "stack overflowed"),
        ("panic", "panicked"),
        ("exit", "panicked"),
        ("chatter", "said it all"),
        ("flood", "bytes of steps and reports"),
        ("stuff", "bytes of steps and reports"),
        ("lengthen environment", "bytes of steps and reports"),
        ("shout", "[2J loud"),
        ("hoard", "more than 1000 handles"),
        ("feed", "at most 1048576"),
        ("keep too much", "at most 65536"),
        ("wander", "`root/../pod` is not granted"),
        ("link away", "/etc/shadow"),
        ("escape", "`/bin/sh` is not granted"),
        ("dance", "no such behaviour"),
    ];
    let host = host();
    let _daemon = host.daemon();
    let neighbour = host.wait(NEIGHBOUR, "the neighbour to run", is_running);
    for (number, (behaviour, _)) in ROWS.iter().enumerate() {
        mock::pod(&host, &format!("fault{number}:1.0.0"), behaviour);
    }
    for (number, (_, words)) in ROWS.iter().enumerate() {
        let status = wait_for_words(&host, &format!("fault{number}:1.0.0"), &[NAMED, words]);
        assert!(!is_running(&status), "{status:?}");
    }
    mock::pod(&host, WEB, "serve");
    host.wait(WEB, "the next call", is_running);
    assert_untouched(&host, &neighbour);
}

#[test]
fn a_plugin_that_looks_for_ever_is_stopped_and_named_by_ps() {
    let host = host();
    let _daemon = host.daemon();
    mock::pod(&host, WEB, "gaze");
    let words = "the plugin for mock pods wants more than 100 looks";
    wait_for_words(&host, WEB, &[words]);
    mock::pod(&host, WEB, "serve");
    host.wait(WEB, "the next call", is_running);
}

/// All that the daemon says of a fault: what stands in `ps`, and in the log of the release what the plugin itself
/// wrote before.
#[test]
fn what_a_plugin_wrote_before_it_failed_stands_in_the_log_of_its_pod_and_is_bounded() {
    let host = host();
    let _daemon = host.daemon();
    let log = |id: &str| {
        let release = host.release(id);
        let name = format!("{}-stdout.log", id.replace(':', "-"));
        fs::read_to_string(release.log_dir().join(name)).unwrap_or_default()
    };
    for (id, behaviour, written) in [
        ("a:1.0.0", "panic", "wrote error: panicked at"),
        ("b:1.0.0", "chatter", "more lines were dropped"),
        ("c:1.0.0", "shout", "more characters"),
    ] {
        mock::pod(&host, id, behaviour);
        wait_for_words(&host, id, &[NAMED]);
        let text = log(id);
        assert!(text.contains(written), "{text}");
        assert!(text.len() < 4_000 && !text.contains('\x1b'), "{text}");
    }
}

#[test]
fn a_step_outside_of_its_operation_is_refused_and_named() {
    let host = host();
    let _daemon = host.daemon();
    let neighbour = host.wait(NEIGHBOUR, "the neighbour to run", is_running);
    mock::misplacing_pod(&host, WEB, "stopped", "download process");
    host.wait(WEB, "the first look", |_| true);
    let pod = host.release(WEB).pod();
    let output = host.run(&["pod", pod.to_str().unwrap(), "download"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("planned `process` in `download`"), "{said}");
    let started = host.release(WEB).run_dir().join("main.json");
    assert!(!started.exists(), "it runs, and nobody watches it");
    let probing = ["signal", "remove", "write"];
    for (number, step) in probing.iter().enumerate() {
        let id = format!("probed{number}:1.0.0");
        mock::misplacing_pod(&host, &id, "running", &format!("execute {step}"));
    }
    for (number, step) in probing.iter().enumerate() {
        let id = format!("probed{number}:1.0.0");
        let words = format!("planned `{step}` in `execute`");
        let status = wait_for_words(&host, &id, &["readiness probe", &words]);
        assert_eq!(status.units[0].status, "running");
        assert_eq!(status.units[0].start_count, 1);
    }
    mock::pod(&host, WEB, "serve");
    host.state(WEB, "running");
    host.wait(WEB, "the next operation", is_running);
    assert_untouched(&host, &neighbour);
}

#[test]
fn a_trap_at_a_restart_is_named_and_the_pod_comes_back_with_its_cure() {
    let host = host();
    mock::pod(&host, WEB, "trap at restart");
    let _daemon = host.daemon();
    let neighbour = host.wait(NEIGHBOUR, "the neighbour to run", is_running);
    let first = host.wait(WEB, "the first start", is_running);
    kill(pid(&first));
    let status = wait_for_words(&host, WEB, &[NAMED, "panicked"]);
    assert!(!is_running(&status), "{status:?}");
    mock::pod(&host, WEB, "serve");
    let cured = host.wait(WEB, "the restart", is_running);
    assert_ne!(pid(&cured), pid(&first));
    assert_untouched(&host, &neighbour);
}

#[test]
fn a_daemon_that_is_killed_while_a_plugin_plans_leaves_nothing_half_done() {
    let host = host();
    let mut daemon = host.daemon();
    let neighbour = host.wait(NEIGHBOUR, "the neighbour to run", is_running);
    mock::pod(&host, WEB, "loop");
    // The operation is noted before the plugin is asked, which then plans for two seconds.
    let log = host.release(WEB).log_dir().join("web-1.0.0-stdout.log");
    let noted = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        Ok(text.contains("start main").then_some(()))
    };
    wait_until("the operation", LIMIT, noted).unwrap();
    kill(daemon.id());
    let ended = || Ok((!daemon.is_running()?).then_some(()));
    wait_until("the end of the daemon", LIMIT, ended).unwrap();
    mock::pod(&host, WEB, "serve");
    let _next = host.daemon();
    let status = host.wait(WEB, "the operation to be planned again", is_running);
    assert_eq!(status.units.len(), 1);
    host.wait(NEIGHBOUR, "the neighbour to be adopted", is_running);
    assert_untouched(&host, &neighbour);
}

/// The mock with its manifest changed in place.
fn changed(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let component = mock::component();
    let mut windows = component.windows(from.len());
    let at = windows
        .position(|window| window == from.as_bytes())
        .unwrap();
    let (before, rest) = component.split_at(at);
    let (_, after) = rest.split_at(from.len());
    [before, to.as_bytes(), after].concat()
}

/// What lies in a cache of translations.
fn native_code() -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache");
    let engine = Engine::new(&cache).unwrap();
    engine.load(&mock::component(), Grants::default()).unwrap();
    let kept = fs::read_dir(&cache).unwrap().next().unwrap().unwrap();
    fs::read(kept.path()).unwrap()
}

#[test]
fn what_is_no_plugin_of_this_host_is_named_by_ps_and_the_next_file_works() {
    let component = mock::component();
    let truncated = &component[..component.len() / 2];
    let files: [(&[u8], &str); 6] = [
        (b"\x7fELF", "not a WebAssembly component"),
        (truncated, "damaged"),
        (&native_code(), "not a WebAssembly component"),
        (&changed("contract: 0.1.0", "contract: 0.0.9"), "0.0.9"),
        (&changed("contract: 0.1.0", "contract: 1.0.0"), "1.0.0"),
        (&importing("wasi:cli/exit@0.2.0", "exit"), "wasi:cli/exit"),
    ];
    let host = host();
    mock::pod(&host, WEB, "serve");
    mock::install_as(&host, &component, Value::Null);
    let _daemon = host.daemon();
    let neighbour = host.wait(NEIGHBOUR, "the neighbour to run", is_running);
    wait_for_words(&host, WEB, &[NAMED, "`sleep` is not granted"]);
    for (bytes, words) in files {
        mock::install_as(&host, bytes, mock::grants());
        let status = wait_for_words(&host, WEB, &["plugin mock 0.1.0", words]);
        assert!(!is_running(&status), "{status:?}");
    }
    mock::install(&host);
    let served = host.wait(WEB, "the next file", is_running);
    // One that is damaged now takes nothing away from what runs.
    mock::install_as(&host, truncated, mock::grants());
    let status = wait_for_words(&host, WEB, &["plugin mock 0.1.0", "damaged"]);
    assert!(is_running(&status), "{status:?}");
    assert_eq!(pid(&status), pid(&served));
    assert_untouched(&host, &neighbour);
}
