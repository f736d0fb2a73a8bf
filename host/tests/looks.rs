//! What the daemon asks a plugin about all pods of its kind: what is seen, what goes wrong with it, and that
//! no pod notices when it does.

use std::fs;

use hostfiles::PodStatus;
use testkit::wait_until;

use crate::host::{Host, LIMIT, is_running, kill, pid};
use crate::mock;

/// With the one that is probed and the poisonous one it is fifty.
const PODS: usize = 48;
const BAD: &str = "bad:1.0.0";
const WEB: &str = "web:1.0.0";
const PROBED: &str = "probed:1.0.0";
const PROBE: &str = "  readinessProbe: {timeoutSeconds: 9, check: {cmd: [test, -e, ready]}}\n";
/// What the looker tells, and the plugin of every pod.
const WELL: &str = "all is well";

fn says(words: &str) -> impl Fn(&PodStatus) -> bool {
    move |status| status.message.contains(words)
}

/// Ends the unit of a pod; it is to be started again at once.
fn assert_restart(host: &Host, id: &str) {
    let starts = |status: &PodStatus| status.units.first().map_or(0, |unit| unit.start_count);
    let before = host.status(id).unwrap();
    kill(pid(&before));
    host.wait(id, "the restart", |status| {
        is_running(status) && starts(status) == starts(&before) + 1
    });
}

#[test]
fn a_pod_that_poisons_the_questions_about_all_is_named_and_the_others_are_looked_at() {
    for export in ["observe", "assess"] {
        let host = Host::new();
        mock::install(&host);
        mock::looker(&host, &format!("echo {WELL}"));
        let ids: Vec<String> = (0..PODS).map(|n| format!("web{n}:1.0.0")).collect();
        for id in &ids {
            mock::pod(&host, id, "serve");
        }
        mock::pod_with(&host, PROBED, "serve", PROBE);
        let ready = host.release(PROBED).path().join("ready");
        fs::write(&ready, "").unwrap();
        mock::pod(&host, BAD, &format!("trap in {export}"));

        let _daemon = host.daemon();
        let named = format!("plugin mock 0.1.0 failed in `{export}`: panicked");
        let bad = host.wait(BAD, "the fault", says(&named));
        assert!(
            bad.message
                .contains("fault 1 with this pod, 1 of the plugin"),
            "{bad:?}"
        );
        // The plugin was asked about it, not about what it should do: it runs all the same.
        host.wait(BAD, "the pod to run", is_running);
        for id in &ids {
            host.wait(id, "the look", |status| status.message == WELL);
            host.wait(id, "the pod to run", is_running);
        }
        assert_restart(&host, &ids[0]);
        assert_restart(&host, BAD);
        for id in &ids {
            let status = host.status(id).unwrap();
            assert!(is_running(&status) && status.readiness, "{status:?}");
            assert_eq!(status.message, WELL);
        }
        host.wait(PROBED, "the probe to pass", |status| status.readiness);
        fs::remove_file(&ready).unwrap();
        host.wait(PROBED, "the probe to fail", |status| !status.readiness);
        mock::pod(&host, BAD, "serve");
        let cured = host.wait(BAD, "the cure", |status| status.message == WELL);
        assert!(is_running(&cured), "{cured:?}");
    }
}

#[test]
fn a_look_that_hangs_leaves_every_unit_as_it_is_and_ps_says_since_when() {
    let host = Host::new();
    mock::install(&host);
    mock::pod(&host, WEB, "impatient");
    mock::looker(&host, "exec sleep 600");
    let _daemon = host.daemon();
    let missing = host.wait(WEB, "what is missing", |status| {
        is_running(status)
            && says("the look of its plugin is missing since 2")(status)
            && says("all")(status)
    });
    assert_restart(&host, WEB);
    let still = host.status(WEB).unwrap();
    let since = |status: &PodStatus| {
        let (_, rest) = status.message.split_once("since ").unwrap();
        rest.split_once(": ").unwrap().0.to_owned()
    };
    assert_eq!(since(&still), since(&missing), "since the first");
    mock::looker(&host, &format!("echo {WELL}"));
    let seen = host.wait(WEB, "the look", |status| status.message == WELL);
    assert!(is_running(&seen), "{seen:?}");
}

#[test]
fn a_plugin_is_woken_when_it_wants_to_be_and_a_tick_that_fails_is_told() {
    let host = Host::new();
    mock::install(&host);
    mock::pod(&host, WEB, "restless");
    mock::pod(&host, BAD, "trap at tick");
    let _daemon = host.daemon();
    let ticked = host.release(WEB).path().join("root/ticked");
    let ticks = || Ok(ticked.exists().then_some(()));
    wait_until("the tick", LIMIT, ticks).unwrap();
    let failed = "its tick is not repeated until its pod or plugin changes: plugin mock 0.1.0 failed in `plan`";
    let bad = host.wait(BAD, "the tick that fails", says(failed));
    assert!(is_running(&bad), "{bad:?}");
    assert_restart(&host, BAD);
    mock::pod(&host, BAD, "restless");
    host.wait(BAD, "the cure", |status| {
        is_running(status) && status.message.is_empty()
    });
}
