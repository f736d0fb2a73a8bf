//! Tables of the planner: a life before, what should be planned, one line each.

use names::PodState;
use podspec::CompiledPod;

use super::{KILL_AGAIN_MS, PROBE_LATER_MS, Plan, explain, is_ready, is_settled, plan};
use crate::life::{
    EndReason, Event, HEALTHY_AFTER_MS, Life, Nudge, Operation, Phase, ProbeError, ProbeKind,
    StopReason, Trouble,
};

const NOW: u64 = 1_000_000;

/// A pod of one unit `main` with these keys, or of several when `units` is a whole list.
pub(crate) fn pod(units: &str) -> CompiledPod {
    let units = if units.starts_with('-') {
        units.to_owned()
    } else {
        format!("- name: main\n{units}")
    };
    let text = format!(
        "{}\nformat: 1\npod: web\npodVersion: 1.0.0\nruntime: native\nvolumes:\n- name: conf\n  type: config\nunits:\n{units}\n",
        podspec::FIRST_LINE
    );
    CompiledPod::from_text(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

fn up(since: u64) -> Phase {
    Phase::Up {
        since,
        passed: true,
    }
}

fn exited(code: i32) -> Phase {
    Phase::Exited {
        at: NOW,
        code: Some(code),
        reason: EndReason::Own,
    }
}

/// A running release whose units are all in this phase and have started once.
fn life(spec: &CompiledPod, phase: Phase) -> Life {
    let mut life = Life::new(spec, PodState::Running);
    life.removed = false;
    for unit in &mut life.units {
        unit.phase = phase;
        unit.started = phase != Phase::Absent;
        unit.failures = u32::from(matches!(phase, Phase::Exited { .. }));
        if let Phase::Up { since, .. } = phase {
            unit.startup_from = since;
        }
    }
    life
}

/// What is planned, in one line: `start main`, `probe main startup`, `wake +1000`.
fn line(plan: &Plan) -> String {
    let operation = plan.operation.iter().map(|operation| match operation {
        Operation::Start(unit) => format!("start {unit}"),
        Operation::Stop(unit, reason) => format!("stop {unit} {reason:?}"),
        Operation::Kill(unit) => format!("kill {unit}"),
        Operation::Signal(unit, nudge) => format!("signal {unit} {nudge:?}"),
        Operation::Collect => "collect".to_owned(),
        Operation::Remove => "remove".to_owned(),
        Operation::Errand(errand) => format!("{errand:?}"),
        Operation::Tick => "tick".to_owned(),
    });
    let probes = plan
        .probes
        .iter()
        .map(|(unit, kind)| format!("probe {unit} {}", kind.as_str()));
    let wake = plan.wake_at.iter().map(|at| format!("wake +{}", at - NOW));
    operation
        .chain(probes)
        .chain(wake)
        .collect::<Vec<_>>()
        .join(", ")
}

#[track_caller]
fn check(units: &str, phase: Phase, change: impl FnOnce(&mut Life), expected: &str) {
    let spec = pod(units);
    let mut life = life(&spec, phase);
    change(&mut life);
    assert_eq!(line(&plan(&spec, &life, NOW)), expected);
}

fn nothing(_: &mut Life) {}

fn nudged(nudge: Nudge) -> impl FnOnce(&mut Life) {
    move |life| life.units[0].nudge = Some(nudge)
}

#[test]
fn restart_policies() {
    // policy, what after exit 0, after exit 1, after a config change when exited with 0
    let table = [
        ("never", "", "", ""),
        ("on-failure", "", "start main", ""),
        ("on-config", "", "start main", "start main"),
        ("on-interval:60", "wake +60000", "start main", "start main"),
        ("always", "start main", "start main", "start main"),
    ];
    for (policy, zero, one, nudge) in table {
        let unit = format!("  restart: {policy}");
        check(&unit, exited(0), nothing, zero);
        check(&unit, exited(1), nothing, one);
        check(&unit, exited(0), nudged(Nudge::Config), nudge);
        check(&unit, exited(0), nudged(Nudge::Signal), nudge);
    }
}

#[test]
fn failures_in_a_row_wait_longer() {
    for (failures, expected) in [
        (1, "start main"),
        (2, "wake +1000"),
        (3, "wake +2000"),
        (20, "wake +60000"),
    ] {
        check(
            "  restart: always",
            exited(1),
            |life| life.units[0].failures = failures,
            expected,
        );
    }
}

#[test]
fn a_unit_that_failed_a_probe_is_restarted_whatever_its_exit_status_unless_never() {
    let unhealthy = Phase::Exited {
        at: NOW,
        code: Some(0),
        reason: EndReason::Asked(StopReason::Unhealthy),
    };
    for (policy, expected) in [
        ("never", ""),
        ("on-failure", "start main"),
        ("on-config", "start main"),
    ] {
        check(
            &format!("  restart: {policy}"),
            unhealthy,
            nothing,
            expected,
        );
    }
}

#[test]
fn a_change_of_a_config() {
    check(
        "  signal: {sig: HUP}",
        up(NOW),
        nudged(Nudge::Config),
        "signal main Config",
    );
    check("", up(NOW), nudged(Nudge::Config), "stop main Restart");
    check("", up(NOW), nudged(Nudge::Signal), "");
    let restarting = Phase::Exited {
        at: NOW,
        code: Some(143),
        reason: EndReason::Asked(StopReason::Restart),
    };
    check("", restarting, nothing, "start main");
}

#[test]
fn units_start_in_order_and_wait_for_those_before() {
    let two = "- name: first\n  startupProbe:\n    timeoutSeconds: 10\n    check: {tcp: {port: 80}}\n- name: second";
    check(two, Phase::Absent, nothing, "start first");
    let waiting = |life: &mut Life| {
        life.units[0].startup_from = NOW;
        life.units[0].phase = Phase::Up {
            since: NOW,
            passed: false,
        };
    };
    check(
        two,
        Phase::Absent,
        waiting,
        "probe first startup, wake +10000",
    );
    let started = |life: &mut Life| {
        life.units[0].phase = up(NOW);
        life.units[0].started = true;
    };
    check(two, Phase::Absent, started, "start second");
    let crashed = |life: &mut Life| {
        life.units[0].phase = exited(1);
        life.units[0].started = true;
    };
    check(two, Phase::Absent, crashed, "start second");
}

#[test]
fn a_startup_that_takes_too_long_ends() {
    let unit = "  startupProbe:\n    timeoutSeconds: 10\n    check: exit";
    check(
        unit,
        Phase::Up {
            since: NOW - 9_999,
            passed: false,
        },
        nothing,
        "wake +1",
    );
    check(
        unit,
        Phase::Up {
            since: NOW - 10_000,
            passed: false,
        },
        nothing,
        "stop main Unhealthy",
    );
}

#[test]
fn probes_come_one_at_a_time_and_less_often_when_all_is_well() {
    let unit = "  readinessProbe:\n    timeoutSeconds: 1\n    check: {tcp: {port: 80}}\n  livenessProbe:\n    timeoutSeconds: 1\n    check: {cmd: [check]}";
    check(unit, up(NOW), nothing, "probe main readiness");
    check(
        unit,
        up(NOW),
        |life| life.units[0].probe = Some(ProbeKind::Readiness),
        "",
    );
    let ready = |life: &mut Life| {
        life.units[0].ready = true;
        life.units[0].probed = [None, Some(NOW - 1), None];
    };
    check(
        unit,
        up(NOW),
        ready,
        &format!("probe main liveness, wake +{}", PROBE_LATER_MS - 1),
    );
    check(
        unit,
        up(NOW),
        |life| life.units[0].unhealthy = true,
        "stop main Unhealthy",
    );
}

#[test]
fn stopping_goes_in_reverse_with_grace_then_kill() {
    let two = "- name: first\n- name: second\n  stopTimeout: 3";
    let stopped = |life: &mut Life| life.wanted = PodState::Stopped;
    check(two, up(NOW), stopped, "stop second Pod");
    let ending = |since, killed| {
        move |life: &mut Life| {
            life.wanted = PodState::Stopped;
            life.units[1].phase = Phase::Stopping {
                since,
                killed,
                reason: StopReason::Pod,
            };
        }
    };
    check(two, up(NOW), ending(NOW, None), "wake +3000");
    check(two, up(NOW), ending(NOW - 3_000, None), "kill second");
    check(
        two,
        up(NOW),
        ending(NOW - 3_000, Some(NOW)),
        &format!("wake +{KILL_AGAIN_MS}"),
    );
    let ended = |life: &mut Life| {
        life.wanted = PodState::Stopped;
        life.units[1].phase = exited(0);
    };
    check(two, up(NOW), ended, "stop first Pod");
    check(two, exited(0), stopped, "");
}

#[test]
fn removing_comes_after_all_units_are_gone_and_once() {
    let removed = |life: &mut Life| life.wanted = PodState::Removed;
    check("", up(NOW), removed, "stop main Pod");
    check("", exited(0), removed, "remove");
    let done = |life: &mut Life| {
        life.wanted = PodState::Removed;
        life.removed = true;
    };
    check("", Phase::Absent, done, "");
}

#[test]
fn nothing_begins_while_an_operation_is_under_way() {
    let busy =
        |life: &mut Life| life.operation = Some(Operation::Start(life.units[0].name.clone()));
    check("- name: first\n- name: second", Phase::Absent, busy, "");
}

/// Plays events at a time each and shows what is planned at the end.
#[track_caller]
fn play(spec: &CompiledPod, life: &mut Life, events: impl IntoIterator<Item = (u64, Event)>) {
    for (at, event) in events {
        life.apply(spec, event, NOW + at);
    }
}

fn begun_and_done(unit: &str) -> [(u64, Event); 2] {
    [
        (0, Event::Begun(Operation::Start(unit.parse().unwrap()))),
        (0, Event::Done(Ok(()))),
    ]
}

fn ended(code: i32) -> Event {
    Event::Exited {
        unit: "main".parse().unwrap(),
        start_count: 1,
        code: Some(code),
        why: None,
        is_elsewhere: false,
    }
}

#[test]
fn sixty_healthy_seconds_forget_the_failures() {
    let spec = pod("  restart: always");
    let unhealthy = Operation::Stop("main".parse().unwrap(), StopReason::Unhealthy);
    for (up_ms, failures) in [(HEALTHY_AFTER_MS - 1, 5), (HEALTHY_AFTER_MS, 1)] {
        let by_itself = vec![(up_ms, ended(1))];
        // Its liveness probe has failed.
        let asked = vec![
            (up_ms, Event::Begun(unhealthy.clone())),
            (up_ms, Event::Done(Ok(()))),
            (up_ms + 2_000, ended(0)),
        ];
        for end in [by_itself, asked] {
            let mut life = Life::new(&spec, PodState::Running);
            life.units[0].failures = 4;
            play(&spec, &mut life, begun_and_done("main"));
            play(&spec, &mut life, end);
            assert_eq!(life.units[0].failures, failures);
        }
    }
}

#[test]
fn a_good_end_is_a_failure_only_of_a_unit_that_always_runs() {
    for (restart, failures) in [
        ("always", 5),
        ("never", 0),
        ("on-failure", 0),
        ("on-config", 0),
        ("on-interval:10", 0),
    ] {
        let spec = pod(&format!("  restart: {restart}"));
        let mut life = Life::new(&spec, PodState::Running);
        life.units[0].failures = 4;
        play(&spec, &mut life, begun_and_done("main"));
        play(&spec, &mut life, [(1, ended(0))]);
        assert_eq!(life.units[0].failures, failures, "{restart}");
    }
}

#[test]
fn a_unit_that_starts_by_ending_signals_those_it_names() {
    let spec = pod(
        "- name: certs\n  startupProbe:\n    timeoutSeconds: 9\n    check: exit\n    signal: [main]\n- name: main\n  signal: {sig: HUP}",
    );
    let mut life = Life::new(&spec, PodState::Running);
    life.units[1].phase = up(NOW);
    play(&spec, &mut life, begun_and_done("certs"));
    assert_eq!(line(&plan(&spec, &life, NOW)), "wake +9000");
    play(
        &spec,
        &mut life,
        [(
            0,
            Event::Exited {
                unit: "certs".parse().unwrap(),
                start_count: 1,
                code: Some(0),
                why: None,
                is_elsewhere: false,
            },
        )],
    );
    assert!(life.units[0].started);
    assert_eq!(line(&plan(&spec, &life, NOW)), "signal main Signal");
}

#[test]
fn what_belongs_to_an_earlier_start_is_ignored() {
    let spec = pod("  restart: always");
    let mut life = life(&spec, up(NOW));
    life.units[0].start_count = 2;
    let before = life.clone();
    let unit: names::UnitName = "main".parse().unwrap();
    play(
        &spec,
        &mut life,
        [
            (
                0,
                Event::Exited {
                    unit: unit.clone(),
                    start_count: 1,
                    code: Some(1),
                    why: None,
                    is_elsewhere: false,
                },
            ),
            (
                0,
                Event::ProbeDone {
                    unit,
                    kind: ProbeKind::Liveness,
                    start_count: 1,
                    outcome: Err(ProbeError::Failed("no answer".into())),
                },
            ),
        ],
    );
    assert_eq!(life, before);
}

#[test]
fn a_start_that_failed_is_tried_again_later_and_a_held_one_when_something_changed() {
    let spec = pod("");
    let mut life = Life::new(&spec, PodState::Running);
    let start = Event::Begun(Operation::Start("main".parse().unwrap()));
    let failed = |held| {
        Event::Done(Err(Trouble {
            message: "no such program".into(),
            held,
        }))
    };
    play(&spec, &mut life, [(0, start.clone()), (0, failed(false))]);
    assert_eq!(line(&plan(&spec, &life, NOW)), "wake +1000");
    assert_eq!(
        explain(&spec, &life, NOW).unwrap(),
        "main could not start: no such program; tried again in 1 s"
    );
    play(&spec, &mut life, [(0, start), (0, failed(true))]);
    assert_eq!(line(&plan(&spec, &life, NOW + 99_000)), "");
    play(&spec, &mut life, [(0, Event::Unheld)]);
    assert_eq!(line(&plan(&spec, &life, NOW)), "start main");
}

#[test]
fn a_start_that_failed_by_what_is_out_of_date_is_tried_again_at_once() {
    let spec = pod("");
    let mut life = Life::new(&spec, PodState::Running);
    let start = || Event::Begun(Operation::Start("main".parse().unwrap()));
    let refused = || {
        Event::Done(Err(Trouble {
            message: "not granted".into(),
            held: true,
        }))
    };
    let events = [(0, start()), (0, Event::Unheld), (0, refused())];
    play(&spec, &mut life, events);
    assert_eq!(line(&plan(&spec, &life, NOW)), "start main");
    play(&spec, &mut life, [(0, start()), (0, refused())]);
    assert_eq!(line(&plan(&spec, &life, NOW)), "", "nothing has changed");
}

#[test]
fn a_probe_that_cannot_be_run_is_tried_later_each_time_or_when_something_changes() {
    let spec = pod("  readinessProbe: {timeoutSeconds: 1, check: {cmd: [test]}}");
    let mut life = life(&spec, up(NOW));
    let unit: names::UnitName = "main".parse().unwrap();
    let kind = ProbeKind::Readiness;
    let done = |outcome| Event::ProbeDone {
        unit: unit.clone(),
        kind,
        start_count: 0,
        outcome,
    };
    let not_run = || Err(ProbeError::NotAsked("the plugin fails".into()));
    let mut waits = Vec::new();
    for _ in 0..4 {
        play(&spec, &mut life, [(0, done(not_run()))]);
        waits.push(line(&plan(&spec, &life, NOW)));
    }
    let expected = ["wake +250", "wake +1000", "wake +2000", "wake +4000"];
    assert_eq!(waits, expected);
    play(&spec, &mut life, [(0, Event::Unheld)]);
    assert_eq!(line(&plan(&spec, &life, NOW)), "wake +250");
    play(&spec, &mut life, [(0, done(not_run())), (0, done(Ok(())))]);
    assert_eq!(line(&plan(&spec, &life, NOW)), "wake +5000");
}

#[test]
fn a_status_that_somebody_else_knows_is_waited_for_where_it_matters() {
    let check = |restart: &str, learned: Option<i32>, expected: &str| {
        let spec = pod(&format!("  restart: {restart}"));
        let mut life = life(&spec, up(NOW));
        life.units[0].start_count = 1;
        let unit: names::UnitName = "main".parse().unwrap();
        let ended = Event::Exited {
            unit: unit.clone(),
            start_count: 1,
            code: None,
            why: None,
            is_elsewhere: true,
        };
        play(&spec, &mut life, [(0, ended)]);
        let learned = learned.map(|code| Event::ExitLearned {
            unit,
            start_count: 1,
            code,
        });
        play(&spec, &mut life, learned.map(|event| (0, event)));
        assert_eq!(line(&plan(&spec, &life, NOW)), expected, "{restart}");
    };
    check("always", None, "start main");
    check("on-failure", None, "wake +5000");
    check("on-failure", Some(1), "start main");
    check("on-failure", Some(0), "");
    check("never", None, "");
}

#[test]
fn a_tick_comes_when_it_is_due_and_after_what_units_need() {
    let spec = pod("  restart: always");
    let mut life = life(&spec, up(NOW));
    play(&spec, &mut life, [(0, Event::TickAt(NOW + 500))]);
    assert_eq!(line(&plan(&spec, &life, NOW)), "wake +500");
    assert_eq!(line(&plan(&spec, &life, NOW + 500)), "tick");
    life.units[0].phase = exited(1);
    assert_eq!(line(&plan(&spec, &life, NOW + 500)), "start main");
    life.units[0].phase = up(NOW);
    life.wanted = PodState::Stopped;
    assert_eq!(line(&plan(&spec, &life, NOW + 500)), "stop main Pod");
}

#[test]
fn a_pod_that_was_stopped_begins_afresh() {
    let spec = pod("- name: once\n- name: main");
    let mut life = life(&spec, exited(0));
    life.wanted = PodState::Stopped;
    play(&spec, &mut life, [(0, Event::Wanted(PodState::Running))]);
    assert_eq!(line(&plan(&spec, &life, NOW)), "start once");
}

#[test]
fn a_pod_begins_afresh_although_its_last_stop_has_not_returned_yet() {
    let spec = pod("- name: once\n- name: main");
    let mut life = life(&spec, exited(0));
    life.wanted = PodState::Stopped;
    life.operation = Some(Operation::Stop("main".parse().unwrap(), StopReason::Pod));
    let events = [
        (0, Event::Wanted(PodState::Running)),
        (0, Event::Done(Ok(()))),
    ];
    play(&spec, &mut life, events);
    assert_eq!(line(&plan(&spec, &life, NOW)), "start once");
}

#[test]
fn ready_means_settled_and_serving() {
    let spec = pod(
        "- name: once\n- name: main\n  restart: always\n  expose: [{targetPort: 80, hostPort: 30000, maxConn: 1}]",
    );
    let mut life = life(&spec, up(NOW));
    assert!(is_settled(&spec, &life) && is_ready(&spec, &life));
    life.units[0].phase = exited(0);
    assert!(
        is_ready(&spec, &life),
        "a unit that is done does not matter"
    );
    life.units[0].phase = exited(3);
    assert!(
        is_settled(&spec, &life) && !is_ready(&spec, &life),
        "one that has failed for good does"
    );
    life.units[0].phase = exited(0);
    life.units[1].phase = exited(1);
    assert!(!is_settled(&spec, &life) && !is_ready(&spec, &life));
    let probed = pod("  readinessProbe:\n    timeoutSeconds: 1\n    check: {tcp: {port: 80}}");
    let mut life = self::life(&probed, up(NOW));
    assert!(is_settled(&probed, &life) && !is_ready(&probed, &life));
    life.units[0].ready = true;
    assert!(is_ready(&probed, &life));
}

#[test]
fn a_unit_that_failed_and_stays_so_is_told() {
    let spec = pod("");
    let told = |code| explain(&spec, &life(&spec, exited(code)), NOW);
    assert_eq!(told(0), None);
    assert_eq!(told(3).unwrap(), "main exited with 3");
}

#[test]
fn every_ill_unit_is_told_and_the_line_stays_short() {
    let units: String = (0..5).map(|unit| format!("- name: unit{unit}\n")).collect();
    let spec = pod(&units);
    let mut life = life(&spec, exited(1));
    for unit in &mut life.units {
        unit.trouble = Some("a long story ".repeat(20));
    }
    let line = explain(&spec, &life, NOW).unwrap();
    assert!(line.chars().count() < 220, "{line}");
    for unit in 0..5 {
        assert_eq!(
            line.matches(&format!("unit{unit} exited")).count(),
            1,
            "{line}"
        );
    }
}

#[test]
fn a_release_that_is_under_way_says_what_it_waits_for() {
    let spec = pod("  stopTimeout: 3\n  startupProbe: {timeoutSeconds: 5, check: exit}");
    let stopping = Phase::Stopping {
        since: NOW,
        killed: None,
        reason: StopReason::Restart,
    };
    let waiting = Phase::Up {
        since: NOW - 1_500,
        passed: false,
    };
    for (phase, expected) in [
        (Phase::Absent, "unit main is started next"),
        (Phase::Starting, "unit main is being started"),
        (waiting, "unit main has 4 s to pass its startup probe"),
        (stopping, "unit main is started again and has 3 s to end"),
    ] {
        let mut life = life(&spec, phase);
        life.wanted = PodState::Running;
        assert_eq!(explain(&spec, &life, NOW).as_deref(), Some(expected));
    }
    assert_eq!(explain(&spec, &life(&spec, up(NOW)), NOW), None);
}
