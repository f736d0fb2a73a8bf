//! Requests by hand: what they do, how long they hold, and what is told of them.

use hostfiles::{PodPhase, PodVerb};
use names::PodState;

use super::super::fake::Stage;
use crate::plan::tables::pod;

const TWO: &str = "- name: first\n  restart: on-failure\n  signal: {sig: HUP}\n- name: second\n  restart: always\n  stopTimeout: 3\n  mounts: [{volume: conf, dest: /c}]";

async fn running() -> Stage {
    let stage = Stage::new(pod(TWO), |world| world.obedient());
    stage.pass(10).await;
    assert_eq!(stage.asked(), "start first, start second");
    stage
}

/// Asks, lets some time pass, and says what was done and what came of it.
async fn ask(stage: &Stage, text: &str) -> (String, String) {
    stage.ask(&format!("{text}\nid x1\n"));
    stage.pass(100).await;
    let action = stage.status().action.unwrap();
    assert_eq!(action.id, "x1");
    let outcome = match action.outcome {
        None => "under way".to_owned(),
        Some(Ok(())) => "done".to_owned(),
        Some(Err(why)) => why,
    };
    (stage.asked(), outcome)
}

#[track_caller]
fn check(found: &(String, String), done: &str, outcome: &str) {
    assert_eq!((found.0.as_str(), found.1.as_str()), (done, outcome));
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_by_hand_stays_so_until_its_state_changes_or_it_is_run() {
    let stage = running().await;
    check(
        &ask(&stage, "stop").await,
        "stop second, stop first, collect",
        "done",
    );
    stage.pass(120_000).await;
    assert_eq!(stage.asked(), "");
    let status = stage.status();
    assert_eq!(status.status, PodPhase::Exited);
    assert!(
        status.message.starts_with("held by hand: stopped"),
        "{}",
        status.message
    );
    check(
        &ask(&stage, "run").await,
        "start first, start second",
        "done",
    );
    assert_eq!(stage.status().message, "");
    ask(&stage, "stop").await;
    stage.change(|desired| desired.state = Ok(Some(PodState::Removed)));
    stage.pass(10).await;
    assert_eq!(stage.asked(), "remove");
    stage.change(|desired| desired.state = Ok(Some(PodState::Running)));
    stage.pass(10).await;
    assert_eq!(stage.asked(), "start first, start second");
}

#[tokio::test(start_paused = true)]
async fn a_hold_survives_the_daemon() {
    let stage = running().await;
    check(
        &ask(&stage, "rm").await,
        "stop second, stop first, remove",
        "done",
    );
    let kept = stage.shut_down().await.paper();
    let found = super::Found {
        hand: kept.hand,
        ..super::Found::default()
    };
    let stage = Stage::new(pod(TWO), |world| world.found(found));
    stage.pass(1_000).await;
    assert_eq!(stage.asked(), "");
    assert!(
        stage
            .status()
            .message
            .contains("removed, although pod.state says running")
    );
    check(
        &ask(&stage, "run").await,
        "start first, start second",
        "done",
    );
}

#[tokio::test(start_paused = true)]
async fn killing_asks_nobody() {
    let stage = running().await;
    check(
        &ask(&stage, "kill").await,
        "kill second, kill first, collect",
        "done",
    );
    check(
        &ask(&stage, "run").await,
        "start first, start second",
        "done",
    );
    let all = "kill second, kill first, remove, start first, start second";
    check(&ask(&stage, "rerun -k").await, all, "done");
    check(
        &ask(&stage, "rm --kill").await,
        "kill second, kill first, remove",
        "done",
    );
}

#[tokio::test(start_paused = true)]
async fn units_are_started_again_whatever_their_policy_and_whether_they_run() {
    let stage = running().await;
    check(
        &ask(&stage, "rerun second").await,
        "stop second, start second",
        "done",
    );
    stage.exit("first", 0);
    stage.pass(10).await;
    assert_eq!(stage.asked(), "", "on-failure");
    let both = "start first, stop second, start second";
    check(&ask(&stage, "rerun first second").await, both, "done");
    let all = "stop second, stop first, remove, start first, start second";
    check(&ask(&stage, "rerun").await, all, "done");
}

#[tokio::test(start_paused = true)]
async fn units_are_told() {
    let stage = running().await;
    // The second one names no signal, and nothing has changed for it.
    check(&ask(&stage, "signal").await, "signal first", "done");
    check(
        &ask(&stage, "reload-configs conf").await,
        "stop second, start second",
        "done",
    );
    stage
        .prepare()
        .trouble("signal first", Some(("no such process", false)));
    check(
        &ask(&stage, "signal first").await,
        "signal first",
        "first: no such process",
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_created_waits_for_its_start() {
    let stage = running().await;
    let refused = "it was not created: `run` creates and starts it";
    ask(&stage, "rm").await;
    check(&ask(&stage, "start").await, "", refused);
    check(&ask(&stage, "create").await, "Create", "done");
    assert_eq!(stage.status().status, PodPhase::Created);
    check(
        &ask(&stage, "start").await,
        "start first, start second",
        "done",
    );
}

#[tokio::test(start_paused = true)]
async fn errands_run_once_and_their_failure_is_told() {
    let stage = running().await;
    check(
        &ask(&stage, "download -f").await,
        "Download { is_forced: true }",
        "done",
    );
    stage
        .prepare()
        .trouble("CreateVolumes", Some(("no space", false)));
    check(
        &ask(&stage, "create-volumes").await,
        "CreateVolumes",
        "no space",
    );
    check(
        &ask(&stage, "purge").await,
        "",
        "the pod is still there: `rm` removes it first",
    );
    ask(&stage, "rm").await;
    check(&ask(&stage, "purge").await, "Purge", "done");
    assert_eq!(stage.status().status, PodPhase::Removed);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_request_is_refused_and_changes_nothing() {
    let stage = running().await;
    for (text, refusal) in [
        (
            "rerun third",
            "there is no unit `third`: expected first, second",
        ),
        (
            "signal third",
            "there is no unit `third`: expected first, second",
        ),
        (
            "reload-configs",
            "name the configs whose units should be told",
        ),
        (
            "reload-configs other",
            "there is no config `other`: expected one of `conf`",
        ),
        (
            "rerun -k first",
            "`--kill` is for the whole pod, not for units of it",
        ),
        ("stop first", "`stop` does not know `first`"),
        ("run -k", "`run` does not know `-k`"),
    ] {
        check(&ask(&stage, text).await, "", refusal);
        assert_eq!(stage.status().status, PodPhase::Running);
    }
    ask(&stage, "stop").await;
    check(
        &ask(&stage, "rerun first").await,
        "",
        "the pod does not run: `run` starts it",
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_again_and_again_is_told_and_goes_on() {
    let stage = running().await;
    ask(&stage, "rm").await;
    stage
        .prepare()
        .trouble("start first", Some(("no such program", false)));
    stage.ask("run\nid x2\n");
    stage.pass(5_000).await;
    let action = stage.status().action.unwrap();
    assert_eq!(action.verb, PodVerb::Run);
    let why = action.outcome.unwrap().unwrap_err();
    assert!(why.contains("no such program"), "{why}");
    stage.prepare().trouble("start first", None);
    stage.pass(60_000).await;
    assert_eq!(stage.status().status, PodPhase::Running);
}

#[tokio::test(start_paused = true)]
async fn a_later_request_takes_the_place_of_an_earlier_one() {
    let stage = Stage::new(pod(TWO), |_| {});
    stage.pass(10).await;
    stage.asked();
    check(&ask(&stage, "stop").await, "stop second", "under way");
    stage.ask("run\n");
    stage.pass(1_000).await;
    assert_eq!(stage.asked(), "");
    stage.exit("second", 0);
    stage.pass(1_000).await;
    assert_eq!(stage.asked(), "start second");
    let action = stage.status().action.unwrap();
    assert_eq!((action.id.as_str(), action.outcome), ("-", Some(Ok(()))));
}
