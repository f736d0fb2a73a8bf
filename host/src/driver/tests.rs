//! The driver in a fake world, with the time standing still until everything has been done.

mod adoption;
mod by_hand;
mod encrypted;
mod requests;
mod survival;

use std::sync::Arc;

use hostfiles::PodPhase;
use names::PodState;

use super::fake::Stage;
use super::{Found, Memory, UnitMemory};
use crate::plan::tables::pod;

const TWO: &str =
    "- name: first\n  restart: on-failure\n- name: second\n  restart: always\n  stopTimeout: 3";

#[tokio::test(start_paused = true)]
async fn units_start_and_what_leads_to_them_is_told() {
    let stage = Stage::new(pod(TWO), |_| {});
    stage.pass(1).await;
    assert_eq!(stage.asked(), "start first, start second");
    let paper = stage.paper();
    assert_eq!(
        (
            paper.status.status,
            paper.status.readiness,
            paper.routes.len()
        ),
        (PodPhase::Running, true, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_routed_only_while_it_is_ready() {
    let units = "  readinessProbe: {timeoutSeconds: 1, check: {tcp: {port: 80}}}";
    let stage = Stage::new(pod(units), |world| world.probe("readiness", Err("refused")));
    stage.pass(1_000).await;
    assert!(stage.paper().routes.is_empty());
    assert_eq!(stage.status().message, "main: readiness probe: refused");
    stage.prepare().probe("readiness", Ok(()));
    stage.pass(1_000).await;
    assert_eq!(
        (stage.paper().routes.len(), stage.status().message.as_str()),
        (1, "")
    );
    stage.prepare().probe("readiness", Err("refused"));
    stage.pass(6_000).await;
    assert!(stage.paper().routes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_followed_by_a_start_and_the_next_ones_wait() {
    let stage = Stage::new(pod(TWO), |_| {});
    stage.pass(1).await;
    stage.asked();
    // The first start is immediate, then the waits double.
    for wait in [0, 1_000, 2_000, 4_000] {
        stage.exit("second", 1);
        stage.pass(wait).await;
        assert_eq!(stage.asked(), "", "before {wait} ms were over");
        stage.pass(1).await;
        assert_eq!(stage.asked(), "start second", "after {wait} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_goes_backwards_and_kills_who_does_not_listen() {
    let stage = Stage::new(pod(TWO), |_| {});
    stage.pass(1).await;
    stage.asked();
    stage.change(|desired| desired.state = Ok(Some(PodState::Stopped)));
    stage.pass(2_900).await;
    assert_eq!(stage.asked(), "stop second");
    assert!(stage.paper().routes.is_empty());
    assert_eq!(
        (stage.status().status, stage.status().message.as_str()),
        (PodPhase::Running, "stopping: unit second has 3 s to end")
    );
    stage.prepare().obedient();
    stage.pass(200).await;
    assert_eq!(stage.asked(), "kill second, stop first, collect");
    assert_eq!(
        (stage.status().status, stage.running()),
        (PodPhase::Exited, 0)
    );
    assert_eq!(stage.status().message, "");
}

#[tokio::test(start_paused = true)]
async fn only_starts_since_the_pod_was_last_wanted_are_told() {
    let stage = Stage::new(pod("  restart: always"), |world| world.obedient());
    stage.pass(1).await;
    stage.exit("main", 1);
    stage.pass(1).await;
    assert_eq!(stage.status().units[0].start_count, 2);
    stage.change(|desired| desired.state = Ok(Some(PodState::Stopped)));
    stage.pass(1).await;
    stage.change(|desired| desired.state = Ok(Some(PodState::Running)));
    stage.pass(1).await;
    assert_eq!(stage.status().units[0].start_count, 1);
    let unit = stage.paper().memory.unwrap().units[&"main".parse().unwrap()].clone();
    assert_eq!((unit.start_count, unit.counted_from), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_changed_config_restarts_those_that_mount_it() {
    let units = "- name: first\n  mounts: [{volume: conf, dest: /conf}]\n- name: second\n  signal: {sig: HUP}\n  mounts: [{volume: conf, dest: /conf}]\n- name: third";
    let stage = Stage::new(pod(units), |world| world.obedient());
    stage.pass(1).await;
    stage.asked();
    stage.change(|desired| {
        desired.configs.insert("conf".parse().unwrap(), "2".into());
    });
    stage.pass(1).await;
    assert_eq!(stage.asked(), "stop first, start first, signal second");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_program_reloads_the_unit_that_runs_it() {
    let units = "- name: first\n- name: second\n  signal: {sig: HUP}\n- name: third";
    let stage = Stage::new(pod(units), |world| world.obedient());
    stage.pass(1).await;
    stage.asked();
    stage.prepare().outdated(&["second", "third"]);
    stage.change(|desired| desired.programs = "server 2".to_owned());
    stage.pass(1).await;
    assert_eq!(stage.asked(), "signal second, stop third, start third");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_waits_for_a_change_and_what_failed_for_time() {
    let stage = Stage::new(pod(""), |world| {
        world.trouble("start main", Some(("not granted", true)));
    });
    stage.pass(600_000).await;
    assert_eq!(stage.asked(), "start main");
    assert_eq!(
        stage.status().message,
        "main is not started until its pod or plugin changes: not granted"
    );
    stage
        .prepare()
        .trouble("start main", Some(("no answer", false)));
    stage.surroundings_changed();
    stage.pass(1).await;
    assert_eq!(stage.asked(), "start main");
    stage.prepare().trouble("start main", None);
    stage.pass(60_000).await;
    assert_eq!(
        (stage.asked().as_str(), stage.status().message.as_str()),
        ("start main", "")
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_changed_is_replaced_when_the_old_one_is_down() {
    let stage = Stage::new(pod("- name: old"), |world| world.obedient());
    stage.pass(1).await;
    stage.asked();
    stage.change(|desired| desired.pod = Err("torn".into()));
    stage.pass(1).await;
    assert_eq!(
        (stage.asked().as_str(), stage.status().message.as_str()),
        ("", "torn")
    );
    stage.change(|desired| desired.pod = Ok(Arc::new(pod("- name: new"))));
    stage.pass(1).await;
    assert_eq!(stage.asked(), "stop old, start new");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_taken_away_is_ended_and_its_driver_with_it() {
    let mut stage = Stage::new(pod(""), |world| world.obedient());
    stage.pass(1).await;
    stage.asked();
    stage.take_away();
    stage.pass(1).await;
    assert_eq!(stage.asked(), "stop main, remove");
    stage.until_over().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_daemon_touches_nothing() {
    let stage = Stage::new(pod(TWO), |_| {});
    stage.pass(1).await;
    stage.asked();
    let stage = stage.shut_down().await;
    assert_eq!((stage.asked().as_str(), stage.running()), ("", 2));
}

#[tokio::test(start_paused = true)]
async fn what_runs_already_is_adopted() {
    let spec = pod(TWO);
    let unit = UnitMemory {
        start_count: 4,
        started: true,
        passed: true,
        ..UnitMemory::default()
    };
    let found = Found {
        spec: Some(Arc::new(spec.clone())),
        memory: Memory {
            wanted: Some(PodState::Running),
            configs: [("conf".parse().unwrap(), "1".to_owned())].into(),
            units: [
                ("first".parse().unwrap(), unit.clone()),
                ("second".parse().unwrap(), unit),
            ]
            .into(),
            ..Memory::default()
        },
        running: [
            ("first".parse().unwrap(), (1, 4)),
            ("second".parse().unwrap(), (1, 4)),
        ]
        .into(),
        remains: true,
        ..Found::default()
    };
    let stage = Stage::new(spec, |world| world.found(found));
    stage.pass(1).await;
    assert_eq!(stage.asked(), "");
    assert_eq!(
        (stage.status().status, stage.status().units[0].start_count),
        (PodPhase::Running, 4)
    );
    stage.exit("second", 0);
    stage.pass(1).await;
    assert_eq!(stage.asked(), "start second");
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_once_a_minute_at_least_and_not_for_nothing() {
    let stage = Stage::new(pod(""), |_| {});
    stage.pass(1_000).await;
    let before = stage.told_count();
    stage.pass(50_000).await;
    assert_eq!(stage.told_count(), before);
    stage.pass(300_000).await;
    assert!(
        stage.told_count() >= before + 4,
        "{} after {before}",
        stage.told_count()
    );
}

#[tokio::test(start_paused = true)]
async fn a_status_that_was_damaged_or_could_not_be_written_is_written_again() {
    let stage = Stage::new(pod(""), |_| {});
    stage.pass(1_000).await;
    let (before, first) = (stage.told_count(), stage.paper());
    stage.damage();
    stage.pass(1_100).await;
    assert_eq!((stage.told_count(), stage.paper()), (before + 1, first));
    stage.prepare().disk_full(true);
    stage.damage();
    stage.pass(10_000).await;
    assert!(stage.told_count() > before + 3, "{}", stage.told_count());
    stage.prepare().disk_full(false);
    stage.pass(3_000).await;
    let last = stage.told_count();
    stage.pass(20_000).await;
    assert_eq!(stage.told_count(), last);
}

#[tokio::test(start_paused = true)]
async fn what_a_step_says_is_shown_and_a_download_is_cancelled_when_something_else_is_wanted() {
    let stage = Stage::new(pod("  restart: always"), |world| world.slow("start main"));
    stage.pass(10).await;
    stage.prepare().line("layer 1 of 3");
    stage.pass(10).await;
    assert!(stage.status().message.ends_with("layer 1 of 3"));
    assert_eq!(stage.asked(), "start main");
    stage.change(|desired| desired.state = Ok(Some(PodState::Stopped)));
    stage.pass(10).await;
    assert_eq!(stage.asked(), "cancel");
    stage.prepare().let_end();
    stage.pass(10).await;
    assert_eq!(stage.asked(), "stop main");
    assert!(!stage.status().message.contains("layer"));
}
