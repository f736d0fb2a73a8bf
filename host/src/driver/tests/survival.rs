//! What a driver does when the world is not as it was thought to be.

use std::sync::Arc;

use hostfiles::PodPhase;
use names::PodState;

use super::super::fake::Stage;
use super::super::{End, Found, Memory, Survivor, UnitMemory};
use crate::life::{Nudge, StopReason};
use crate::plan::tables::pod;

fn survivor(incomplete: Option<&str>) -> Survivor {
    Survivor {
        since_ms: 1,
        start_count: 7,
        incomplete: incomplete.map(str::to_owned),
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_runs_although_its_start_failed_is_taken_over() {
    let stage = Stage::new(pod(""), |world| {
        world.obedient();
        world.survivor("start main", "main", survivor(None));
    });
    stage.pass(1).await;
    assert_eq!((stage.asked().as_str(), stage.running()), ("start main", 1));
    assert_eq!(stage.status().status, PodPhase::Running);
    assert_eq!(stage.status().units[0].start_count, 7);
    stage.change(|desired| desired.state = Ok(Some(PodState::Stopped)));
    stage.pass(1).await;
    assert_eq!(
        (stage.asked().as_str(), stage.running()),
        ("stop main, collect", 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_survivor_keeps_the_number_of_its_start() {
    let stage = Stage::new(pod(""), |world| {
        world.obedient();
        let start_count = 0;
        let unnumbered = Survivor {
            start_count,
            ..survivor(None)
        };
        world.survivor("start main", "main", unnumbered);
    });
    stage.pass(1).await;
    assert_eq!(stage.status().units[0].start_count, 0);
    stage.change(|desired| desired.state = Ok(Some(PodState::Stopped)));
    stage.pass(1).await;
    assert_eq!(
        (stage.asked().as_str(), stage.running()),
        ("start main, stop main, collect", 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_whose_start_was_not_finished_is_ended_and_started_again() {
    let stage = Stage::new(pod(""), |world| {
        world.obedient();
        world.survivor("start main", "main", survivor(Some("no network")));
    });
    stage.pass(60_000).await;
    assert_eq!(stage.asked(), "start main, stop main, start main");
    assert_eq!(stage.status().status, PodPhase::Running);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_under_a_unit_that_runs_after_all() {
    let stage = Stage::new(pod(""), |world| world.obedient());
    stage.pass(1).await;
    stage.exit("main", 0);
    stage.prepare().survivor("remove", "main", survivor(None));
    stage.asked();
    stage.change(|desired| desired.state = Ok(Some(PodState::Removed)));
    stage.pass(1).await;
    let asked = stage.asked();
    assert!(asked.ends_with("remove, stop main, remove"), "{asked}");
    assert_ne!(
        stage.told_before("stop main").status.status,
        PodPhase::Removed
    );
    assert_eq!(stage.status().status, PodPhase::Removed);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_ends_without_a_result_is_a_trouble() {
    let stage = Stage::new(pod(""), |world| world.lose("start main"));
    stage.pass(1).await;
    assert!(
        stage.status().message.contains("a mistake in the daemon"),
        "{}",
        stage.status().message
    );
    stage.pass(60_000).await;
    assert_eq!(stage.asked(), "start main, start main");
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_start_has_left_is_ended_and_started_again() {
    let stage = Stage::new(pod(""), |world| {
        world.obedient();
        world.lose("start main");
        world.survivor("start main", "main", survivor(None));
    });
    stage.pass(60_000).await;
    assert_eq!(stage.asked(), "start main, stop main, start main");
    assert_eq!(
        (stage.status().status, stage.running()),
        (PodPhase::Running, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_cannot_be_asked_says_nothing_about_the_unit() {
    let units = "  readinessProbe: {timeoutSeconds: 1, check: {cmd: [a]}}\n  livenessProbe: {timeoutSeconds: 1, check: {cmd: [a]}}";
    let stage = Stage::new(pod(units), |_| {});
    stage.pass(1_000).await;
    assert!(stage.status().readiness);
    stage.prepare().not_asked("readiness");
    stage.prepare().not_asked("liveness");
    stage.asked();
    stage.pass(60_000).await;
    assert_eq!((stage.asked().as_str(), stage.running()), ("", 1));
    let status = stage.status();
    assert!(status.readiness);
    assert!(
        status.message.contains("probe was not run: no plugin"),
        "{}",
        status.message
    );
}

const RELOADS: &str = "  signal: {sig: HUP}\n  mounts: [{volume: conf, dest: /conf}]";

#[tokio::test(start_paused = true)]
async fn a_reload_that_failed_is_told_and_tried_again() {
    let stage = Stage::new(pod(RELOADS), |_| {});
    stage.pass(1).await;
    stage
        .prepare()
        .trouble("signal main", Some(("busy", false)));
    stage.asked();
    stage.change(|desired| {
        desired.configs.insert("conf".parse().unwrap(), "2".into());
    });
    stage.pass(1).await;
    assert_eq!(stage.asked(), "signal main");
    assert_eq!(
        stage.status().message,
        "main could not be told of a change: busy; tried again in 1 s"
    );
    assert_eq!(memory_of_main(&stage).nudge, Some(Nudge::Config));
    stage.prepare().trouble("signal main", None);
    stage.pass(60_000).await;
    assert_eq!(stage.asked(), "signal main");
    assert_eq!(stage.status().message, "");
    assert_eq!(memory_of_main(&stage).nudge, None);
}

#[tokio::test(start_paused = true)]
async fn the_next_driver_tells_what_the_last_one_could_not() {
    let spec = pod(RELOADS);
    let name: names::UnitName = "main".parse().unwrap();
    let unit = UnitMemory {
        start_count: 1,
        started: true,
        passed: true,
        nudge: Some(Nudge::Config),
        ..UnitMemory::default()
    };
    let found = Found {
        spec: Some(Arc::new(spec.clone())),
        memory: Memory {
            wanted: Some(PodState::Running),
            configs: [("conf".parse().unwrap(), "1".to_owned())].into(),
            units: [(name.clone(), unit)].into(),
            ..Memory::default()
        },
        running: [(name, (1, 1))].into(),
        remains: true,
        ..Found::default()
    };
    let stage = Stage::new(spec, |world| world.found(found));
    stage.pass(1).await;
    assert_eq!(stage.asked(), "signal main");
}

#[tokio::test(start_paused = true)]
async fn an_end_of_an_earlier_pod_says_nothing_about_a_unit_of_this_one() {
    for (counted_from, expected) in [(3, "start main"), (2, "")] {
        let spec = pod("  restart: on-failure");
        let name: names::UnitName = "main".parse().unwrap();
        let unit = UnitMemory {
            start_count: 3,
            counted_from,
            ..UnitMemory::default()
        };
        let end = End {
            code: Some(0),
            ..End::default()
        };
        let found = Found {
            spec: Some(Arc::new(spec.clone())),
            memory: Memory {
                wanted: Some(PodState::Running),
                units: [(name.clone(), unit)].into(),
                ..Memory::default()
            },
            exited: [(name, (1, 3, end))].into(),
            remains: true,
            ..Found::default()
        };
        let stage = Stage::new(spec, |world| world.found(found));
        stage.pass(1).await;
        assert_eq!(stage.asked(), expected, "counted from {counted_from}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_about_to_be_done_is_told_before() {
    let stage = Stage::new(pod(""), |world| world.obedient());
    stage.pass(1).await;
    stage.change(|desired| desired.state = Ok(Some(PodState::Stopped)));
    stage.pass(1).await;
    let before = stage.told_before("stop main");
    assert!(
        before.routes.is_empty(),
        "the route was there when the stop began"
    );
    let memory = before.memory.unwrap();
    assert!(
        memory
            .units
            .values()
            .all(|unit| unit.asked_to_end == Some(StopReason::Pod))
    );
}

fn memory_of_main(stage: &Stage) -> UnitMemory {
    let memory = stage.paper().memory.unwrap();
    memory.units.get(&"main".parse().unwrap()).cloned().unwrap()
}
