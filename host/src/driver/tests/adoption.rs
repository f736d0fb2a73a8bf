//! What a driver makes of what another has left that was killed.

use std::sync::Arc;

use hostfiles::PodPhase;
use names::PodState;

use super::super::fake::Stage;
use super::super::memory::CountedEnd;
use super::super::{End, Found, Memory, UnitMemory};
use crate::life::StopReason;
use crate::plan::tables::pod;

/// Which start of a unit is there, and how it stands with it.
enum Left {
    Running(u32),
    Ended(u32, i32),
    /// It has ended, and only its parent knows how.
    Elsewhere(u32),
}

/// The driver of this pod finds one unit, which the driver before remembered so.
fn next(units: &str, name: &str, left: &Left, memory: UnitMemory) -> Stage {
    let spec = pod(units);
    let name: names::UnitName = name.parse().unwrap();
    let mut found = Found {
        spec: Some(Arc::new(spec.clone())),
        memory: Memory {
            wanted: Some(PodState::Running),
            units: [(name.clone(), memory)].into(),
            ..Memory::default()
        },
        remains: true,
        ..Found::default()
    };
    match left {
        Left::Running(start_count) => {
            found.running.insert(name, (1, *start_count));
        }
        Left::Ended(start_count, code) => {
            let end = End {
                code: Some(*code),
                ..End::default()
            };
            found.exited.insert(name, (1, *start_count, end));
        }
        Left::Elsewhere(start_count) => {
            let end = End {
                is_elsewhere: true,
                ..End::default()
            };
            found.exited.insert(name, (1, *start_count, end));
        }
    }
    Stage::new(spec, |world| {
        world.obedient();
        world.found(found);
    })
}

fn memory(start_count: u32) -> UnitMemory {
    UnitMemory {
        start_count,
        ..UnitMemory::default()
    }
}

const ONE_SHOT: &str = "- name: init\n  restart: never\n  startupProbe: {timeoutSeconds: 5, check: exit}\n- name: main\n  restart: always";

#[tokio::test(start_paused = true)]
async fn a_one_shot_that_ended_while_no_daemon_was_there_has_started_the_pod() {
    let stage = next(ONE_SHOT, "init", &Left::Ended(1, 0), memory(1));
    stage.pass(1).await;
    assert_eq!(stage.asked(), "start main");
    assert_eq!(stage.status().status, PodPhase::Running);
    let stage = next(ONE_SHOT, "init", &Left::Ended(1, 1), memory(1));
    stage.pass(60_000).await;
    assert_eq!(stage.asked(), "", "it has failed");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_ended_before_its_start_was_written_down_holds_up_no_other() {
    let units = "- name: first\n  restart: never\n- name: second";
    for remembered in [0, 1] {
        let stage = next(units, "first", &Left::Ended(1, 1), memory(remembered));
        stage.pass(1).await;
        assert_eq!(stage.asked(), "start second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_was_away_probes_before_it_judges() {
    let units = "  startupProbe: {timeoutSeconds: 10, check: {tcp: {port: 80}}}";
    for remembered in [memory(1), UnitMemory::default()] {
        let stage = next(units, "main", &Left::Running(1), remembered);
        stage.pass(1_000).await;
        assert_eq!((stage.asked().as_str(), stage.running()), ("", 1));
        assert_eq!(stage.status().status, PodPhase::Running);
    }
    let stage = next(units, "main", &Left::Running(1), memory(1));
    stage.prepare().probe("startup", Err("refused"));
    stage.pass(9_000).await;
    assert_eq!(stage.asked(), "");
    stage.pass(2_000).await;
    assert_eq!(stage.asked(), "stop main", "it has its time once more");
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_was_under_way_is_finished() {
    let again = |asked_to_end| UnitMemory {
        passed: true,
        started: true,
        asked_to_end,
        ..memory(1)
    };
    let cycle = || UnitMemory {
        cycle: true,
        ..again(None)
    };
    let table = [
        // Nobody knows whether it was asked; it is asked once more.
        (
            "never",
            again(Some(StopReason::Restart)),
            Left::Running(1),
            "stop main, start main",
        ),
        ("never", cycle(), Left::Running(1), "stop main, start main"),
        (
            "on-failure",
            again(Some(StopReason::Unhealthy)),
            Left::Running(1),
            "stop main, start main",
        ),
        // It did as it was asked meanwhile.
        (
            "never",
            again(Some(StopReason::Restart)),
            Left::Ended(1, 0),
            "start main",
        ),
        ("never", cycle(), Left::Ended(1, 0), "start main"),
        (
            "on-failure",
            again(Some(StopReason::Unhealthy)),
            Left::Ended(1, 0),
            "start main",
        ),
        // The start was begun, and nothing has remained of it.
        ("never", memory(2), Left::Ended(1, 0), "start main"),
        // The start has failed, although its process has ended well.
        (
            "never",
            UnitMemory {
                counted: Some(CountedEnd::Failed),
                ..memory(1)
            },
            Left::Ended(1, 0),
            "start main",
        ),
        (
            "never",
            UnitMemory {
                incomplete: true,
                ..again(Some(StopReason::Unhealthy))
            },
            Left::Ended(1, 0),
            "start main",
        ),
        // The end of an earlier start says nothing about this one.
        (
            "never",
            again(Some(StopReason::Restart)),
            Left::Ended(2, 0),
            "",
        ),
        ("never", again(None), Left::Ended(1, 0), ""),
    ];
    for (line, (restart, memory, left, expected)) in table.into_iter().enumerate() {
        let stage = next(&format!("  restart: {restart}"), "main", &left, memory);
        stage.pass(60_000).await;
        assert_eq!(stage.asked(), expected, "line {line}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_counted_once() {
    let memory = UnitMemory {
        counted: Some(CountedEnd::Exited),
        failures: 3,
        ..memory(1)
    };
    let stage = next(
        "  restart: on-failure",
        "main",
        &Left::Ended(1, 1),
        memory.clone(),
    );
    stage.pass(1).await;
    let remembered = stage.paper().memory.unwrap().units;
    assert_eq!(remembered[&"main".parse().unwrap()].failures, 3);
    let unseen = UnitMemory {
        counted: None,
        ..memory
    };
    let stage = next("  restart: on-failure", "main", &Left::Ended(1, 1), unseen);
    stage.pass(1).await;
    let remembered = stage.paper().memory.unwrap().units;
    assert_eq!(remembered[&"main".parse().unwrap()].failures, 4);
}

#[tokio::test(start_paused = true)]
async fn an_end_whose_status_somebody_else_knows_is_not_judged_before_it_could_be_told() {
    for counted in [None, Some(CountedEnd::Exited)] {
        let memory = UnitMemory {
            counted,
            ..memory(1)
        };
        let stage = next("  restart: on-failure", "main", &Left::Elsewhere(1), memory);
        stage.pass(4_000).await;
        assert_eq!(stage.asked(), "");
        stage.pass(2_000).await;
        assert_eq!(stage.asked(), "start main", "nobody has told it");
    }
}
