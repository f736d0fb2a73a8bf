//! Requests by hand that meet others, a failure or the end of the daemon: none is lost or waits for ever.

use hostfiles::PodPhase;
use names::PodState;

use super::super::fake::Stage;
use super::super::{Found, Survivor};
use crate::hand::Hand;
use crate::plan::tables::pod;

const TWO: &str = "- name: first\n  restart: never\n- name: second\n  restart: always\n  stopTimeout: 3\n  signal: {sig: HUP}\n  mounts: [{volume: conf, dest: /c}]";

async fn running(units: &str) -> Stage {
    let stage = Stage::new(pod(units), |world| world.obedient());
    stage.pass(10).await;
    stage.asked();
    stage
}

async fn ask(stage: &Stage, id: &str, text: &str) {
    stage.ask(&format!("{text}\nid {id}\n"));
    stage.pass(100).await;
}

/// What has become of the request of this name.
fn outcome(stage: &Stage, id: &str) -> String {
    let hand = stage.paper().hand;
    match hand.request(id).map(crate::hand::Request::outcome) {
        None => "unknown".to_owned(),
        Some(None) => "under way".to_owned(),
        Some(Some(Ok(()))) => "done".to_owned(),
        Some(Some(Err(why))) => why.clone(),
    }
}

/// A daemon that finds what one before has written down, but none of its units.
async fn next(kept: &Hand, units: &str) -> Stage {
    let text = serde_json::to_string(kept).unwrap();
    let found = Found {
        hand: serde_json::from_str(&text).unwrap(),
        ..Found::default()
    };
    let stage = Stage::new(pod(units), |world| {
        world.obedient();
        world.found(found);
    });
    stage.pass(100).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_rerun_comes_back_whatever_else_is_asked_meanwhile() {
    for other in [
        "download",
        "signal mian",
        "start",
        "rerun second",
        "stop main",
    ] {
        let stage = Stage::new(pod(TWO), |_| {});
        stage.pass(10).await;
        ask(&stage, "a", "rerun").await;
        ask(&stage, "b", other).await;
        assert_eq!(outcome(&stage, "a"), "under way", "{other}");
        stage.prepare().obedient();
        stage.exit("second", 0);
        stage.pass(10_000).await;
        assert_eq!(stage.status().status, PodPhase::Running, "{other}");
        assert_eq!(outcome(&stage, "a"), "done", "{other}");
        assert_ne!(outcome(&stage, "b"), "under way", "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_rerun_comes_back_when_removing_it_fails_once() {
    let stage = running(TWO).await;
    stage.prepare().trouble("remove", Some(("busy", false)));
    ask(&stage, "a", "rerun").await;
    assert_eq!(outcome(&stage, "a"), "busy; tried again in 1 s");
    stage.prepare().trouble("remove", None);
    let stage = next(&stage.shut_down().await.paper().hand, TWO).await;
    stage.pass(10_000).await;
    assert_eq!(stage.status().status, PodPhase::Running);
    assert_eq!(stage.status().message, "");
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_finds_a_unit_ends_it_and_is_done() {
    for (verb, phase) in [("rm", PodPhase::Removed), ("rerun", PodPhase::Running)] {
        let stage = running("").await;
        let survivor = Survivor {
            since_ms: 1,
            start_count: 7,
            incomplete: None,
        };
        stage.prepare().survivor("remove", "main", survivor);
        ask(&stage, "a", verb).await;
        assert_eq!(outcome(&stage, "a"), "done", "{verb}");
        assert!(stage.asked().contains("remove, stop main, remove"));
        assert_eq!(stage.status().status, phase);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_overtaken_is_told_so_and_who_need_not_be_is_not() {
    for (first, then, told) in [
        ("stop", "run", "replaced by a later request: run"),
        ("rerun", "run", "replaced by a later request: run"),
        ("rm", "stop", "replaced by a later request: stop"),
        ("stop", "kill", "done"),
        ("stop", "rm", "done"),
        ("rerun", "rerun -k", "done"),
        (
            "rerun second",
            "stop",
            "second: the pod should not run any more",
        ),
        ("signal second", "signal second", "done"),
        ("download", "download", "done"),
        ("download", "create-volumes", "done"),
    ] {
        let stage = Stage::new(pod(TWO), |_| {});
        stage.pass(10).await;
        stage.ask(&format!("{first}\nid a\n"));
        stage.ask(&format!("{then}\nid b\n"));
        stage.pass(10).await;
        stage.prepare().obedient();
        stage.exit("second", 0);
        stage.pass(10_000).await;
        let told = told.strip_prefix("second: ").unwrap_or(told);
        assert_eq!(outcome(&stage, "a"), told, "{first}, {then}");
        assert_eq!(outcome(&stage, "b"), "done", "{first}, {then}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_change_of_a_state_ends_only_what_it_contradicts() {
    for (state, told) in [
        (PodState::Stopped, "done"),
        (PodState::Removed, "done"),
        (
            PodState::Running,
            "pod.state has changed to running meanwhile",
        ),
    ] {
        let stage = Stage::new(pod(TWO), |_| {});
        let former = match state {
            PodState::Running => PodState::Stopped,
            PodState::Stopped | PodState::Removed => PodState::Running,
        };
        stage.pass(10).await;
        if former == PodState::Stopped {
            stage.ask("run");
            stage.change(|desired| desired.state = Ok(Some(former)));
            stage.pass(10).await;
            ask(&stage, "r", "run").await;
        }
        ask(&stage, "a", "stop").await;
        ask(&stage, "d", "download").await;
        stage.change(|desired| desired.state = Ok(Some(state)));
        stage.pass(10).await;
        stage.prepare().obedient();
        stage.exit("second", 0);
        stage.pass(10_000).await;
        assert_eq!(outcome(&stage, "a"), told, "{state}");
        assert_eq!(outcome(&stage, "d"), "done", "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_unit_rests_without_having_started_fails() {
    let init = "- name: init\n  startupProbe: {timeoutSeconds: 60, check: exit}\n- name: main";
    let stage = Stage::new(pod(init), |world| world.obedient());
    stage.pass(10).await;
    ask(&stage, "a", "run").await;
    assert_eq!(outcome(&stage, "a"), "under way");
    stage.exit("init", 1);
    stage.pass(10).await;
    let why = "init exited with 1 and its restart policy is never: the units after it wait";
    assert_eq!(outcome(&stage, "a"), why);
    ask(&stage, "b", "rerun main").await;
    assert_eq!(outcome(&stage, "b"), format!("main: {why}"));
}

#[tokio::test(start_paused = true)]
async fn a_run_of_a_pod_whose_unit_has_failed_for_good_fails() {
    for (code, told) in [(0, "done"), (3, "first exited with 3")] {
        let stage = running(TWO).await;
        stage.exit("first", code);
        stage.pass(10).await;
        ask(&stage, "a", "run").await;
        assert_eq!(outcome(&stage, "a"), told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_waits_for_no_unit_that_has_ended() {
    let stage = running(TWO).await;
    stage.exit("first", 0);
    stage.pass(10).await;
    ask(&stage, "a", "signal").await;
    assert_eq!(
        (stage.asked().as_str(), outcome(&stage, "a").as_str()),
        ("signal second", "done")
    );
    ask(&stage, "b", "signal first").await;
    assert_eq!(outcome(&stage, "b"), "unit `first` does not run");
    ask(&stage, "c", "stop").await;
    ask(&stage, "d", "signal").await;
    assert_eq!(
        outcome(&stage, "d"),
        "the pod does not run: `run` starts it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_config_waits_for_no_unit_that_has_ended_and_starts_one_that_wants_it() {
    let units = "- name: once\n  mounts: [{volume: conf, dest: /c}]\n- name: again\n  restart: on-config\n  mounts: [{volume: conf, dest: /c}]";
    let stage = running(units).await;
    stage.exit("once", 0);
    stage.exit("again", 0);
    stage.pass(10).await;
    ask(&stage, "a", "reload-configs conf").await;
    assert_eq!(
        (stage.asked().as_str(), outcome(&stage, "a").as_str()),
        ("start again", "done")
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_is_started_again_and_fails_is_told() {
    let init =
        "- name: job\n  restart: on-failure\n  startupProbe: {timeoutSeconds: 60, check: exit}";
    for (code, told) in [(0, "done"), (3, "job: it exited with 3")] {
        let stage = running(init).await;
        stage.exit("job", 0);
        stage.pass(10).await;
        ask(&stage, "a", "rerun job").await;
        assert_eq!(outcome(&stage, "a"), "under way");
        stage.prepare().trouble("start job", Some(("no", false)));
        stage.exit("job", code);
        stage.pass(10).await;
        assert!(
            outcome(&stage, "a").starts_with(told),
            "{}",
            outcome(&stage, "a")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_errand_is_done_by_the_next_daemon_and_never_told_as_done_before() {
    let stage = running(TWO).await;
    stage.prepare().slow("Download { is_forced: false }");
    ask(&stage, "a", "download").await;
    ask(&stage, "b", "create-volumes").await;
    ask(&stage, "c", "rerun second").await;
    let kept = stage.paper().hand;
    assert_eq!(outcome(&stage, "a"), "under way");
    let stage = next(&kept, TWO).await;
    let asked = stage.asked();
    for done in ["Download { is_forced: false }", "CreateVolumes"] {
        assert!(asked.contains(done), "{asked}");
    }
    for id in ["a", "b", "c"] {
        assert_eq!(outcome(&stage, id), "done");
    }
}

#[tokio::test(start_paused = true)]
async fn an_errand_outlasts_a_change_of_the_pod() {
    let stage = running("- name: old").await;
    stage.prepare().slow("Download { is_forced: false }");
    ask(&stage, "a", "download").await;
    ask(&stage, "b", "create-volumes").await;
    let new = std::sync::Arc::new(pod("- name: new"));
    stage.change(|desired| desired.pod = Ok(new));
    stage.pass(10).await;
    stage.prepare().let_end();
    stage.pass(100).await;
    let asked = stage.asked();
    assert!(
        asked.contains("CreateVolumes") && asked.contains("start new"),
        "{asked}"
    );
    assert_eq!(
        (outcome(&stage, "a"), outcome(&stage, "b")),
        ("done".into(), "done".into())
    );
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_created_is_not_started() {
    let stage = running(TWO).await;
    ask(&stage, "a", "rm").await;
    stage.prepare().trouble("Create", Some(("no space", false)));
    ask(&stage, "b", "create").await;
    assert_eq!(outcome(&stage, "b"), "no space");
    assert_eq!(stage.status().status, PodPhase::Exited);
    ask(&stage, "c", "start").await;
    assert_eq!(
        outcome(&stage, "c"),
        "it was not created: `run` creates and starts it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_taken_while_the_daemon_ends_is_kept() {
    let mut kept = 0;
    for moments in 0..12 {
        let stage = running(TWO).await;
        stage.ask("stop\nid a\n");
        for _ in 0..moments {
            tokio::task::yield_now().await;
        }
        let stage = stage.shut_down().await;
        let is_known = outcome(&stage, "a") != "unknown";
        assert_ne!(is_known, stage.is_asked(), "after {moments}");
        kept += usize::from(is_known);
    }
    assert!(kept > 0);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_requests_are_remembered_and_only_so_many_taken() {
    let stage = running(TWO).await;
    stage.prepare().slow("Download { is_forced: false }");
    for id in 0..40 {
        ask(&stage, &format!("a{id}"), "download").await;
    }
    assert!(outcome(&stage, "a39").starts_with("too many requests"));
    stage.prepare().let_end();
    stage.pass(100).await;
    for id in 0..40 {
        ask(&stage, &format!("b{id}"), "signal").await;
    }
    // The last of them was still under way when the one before it was forgotten.
    assert_eq!(stage.paper().hand.requests.len(), 33);
    assert_eq!(
        (outcome(&stage, "b39"), outcome(&stage, "b6")),
        ("done".into(), "unknown".into())
    );
}
