//! Properties of planner and life together, over random histories of a small world: processes that
//! crash, ignore requests to end or fail to start, probes that fail, operators who change their mind.

use std::collections::BTreeSet;

use names::{PodState, UnitName};
use podspec::CompiledPod;
use proptest::prelude::*;

use super::tables::pod;
use super::{is_settled, plan};
use crate::life::{Event, Life, Operation, Phase, ProbeError, ProbeKind, StopReason, Trouble};

const UNITS: [&str; 3] = ["first", "second", "third"];

fn spec() -> CompiledPod {
    pod("- name: first
  restart: on-config
  mounts: [{volume: conf, dest: /conf}]
  startupProbe: {timeoutSeconds: 5, check: exit, signal: [second]}
- name: second
  restart: always
  signal: {sig: HUP}
  stopTimeout: 2
  mounts: [{volume: conf, dest: /conf}]
  startupProbe: {timeoutSeconds: 5, check: {tcp: {port: 80}}}
  readinessProbe: {timeoutSeconds: 1, check: {tcp: {port: 80}}}
- name: third
  restart: on-failure
  mounts: [{volume: conf, dest: /conf}]
  livenessProbe: {timeoutSeconds: 1, check: {tcp: {port: 80}}}")
}

/// What the world does next; it decides only what the daemon cannot.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Want(PodState),
    Crash(usize, i32),
    Config,
    Unheld,
    Wait(u64),
    OperationEnds { ok: bool, held: bool },
    ProbeEnds { unit: usize, ok: bool },
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        1 => prop::sample::select(PodState::ALL.to_vec()).prop_map(Turn::Want),
        1 => (0..3usize, 0..2i32).prop_map(|(unit, code)| Turn::Crash(unit, code)),
        1 => Just(Turn::Config),
        1 => Just(Turn::Unheld),
        1 => (0..20_000u64).prop_map(Turn::Wait),
        4 => (any::<bool>(), any::<bool>()).prop_map(|(ok, held)| Turn::OperationEnds { ok, held: held && !ok }),
        3 => (0..3usize, any::<bool>()).prop_map(|(unit, ok)| Turn::ProbeEnds { unit, ok }),
    ]
}

/// The world: which units have a process, and whether they end when asked.
struct World {
    spec: CompiledPod,
    life: Life,
    now: u64,
    process: [Option<u32>; 3],
    stubborn: bool,
}

impl World {
    fn new() -> Self {
        let spec = spec();
        let life = Life::new(&spec, PodState::Running);
        Self {
            spec,
            life,
            now: 1,
            process: [None; 3],
            stubborn: true,
        }
    }

    fn apply(&mut self, event: Event) {
        self.life.apply(&self.spec, event, self.now);
    }

    fn place(name: &UnitName) -> usize {
        UNITS
            .iter()
            .position(|unit| *unit == name.as_str())
            .unwrap()
    }

    /// Asks the planner and checks what must always hold.
    fn think(&mut self) -> Option<u64> {
        let plan = plan(&self.spec, &self.life, self.now);
        if let Some(operation) = plan.operation {
            assert_eq!(
                self.life.operation, None,
                "a second operation: {operation:?}"
            );
            self.check_sense(&operation);
            self.apply(Event::Begun(operation));
        }
        for (unit, kind) in plan.probes {
            assert_eq!(
                self.life.unit(&unit).unwrap().probe,
                None,
                "a second probe of {unit}"
            );
            self.apply(Event::ProbeBegun(unit, kind));
        }
        plan.wake_at
    }

    fn check_sense(&self, operation: &Operation) {
        let process = operation.unit().map(|name| self.process[Self::place(name)]);
        match operation {
            Operation::Start(_) => {
                assert_eq!(
                    self.life.wanted,
                    PodState::Running,
                    "a start of a pod that should not run"
                );
                assert_eq!(
                    process,
                    Some(None),
                    "a start beside a process: {operation:?}"
                );
            }
            Operation::Errand(_) => {}
            Operation::Tick => assert_eq!(self.life.wanted, PodState::Running),
            Operation::Collect => {
                assert_eq!(self.life.wanted, PodState::Stopped);
                assert_eq!(self.process, [None; 3], "collected under a process");
            }
            Operation::Remove => {
                assert_eq!(self.life.wanted, PodState::Removed);
                assert_eq!(self.process, [None; 3], "removed under a process");
            }
            Operation::Stop(..) | Operation::Kill(_) | Operation::Signal(..) => {}
        }
    }

    fn end_operation(&mut self, ok: bool, held: bool) {
        let Some(operation) = self.life.operation.clone() else {
            return;
        };
        if let (true, Operation::Start(name)) = (ok, &operation) {
            let count = self.life.unit(name).unwrap().start_count;
            assert_eq!(
                self.process[Self::place(name)].replace(count),
                None,
                "two processes of {name}"
            );
        }
        let outcome = if ok {
            Ok(())
        } else {
            Err(Trouble {
                message: "refused".into(),
                held,
            })
        };
        self.apply(Event::Done(outcome));
        match operation {
            Operation::Stop(name, _) if ok && !self.stubborn => self.exit(Self::place(&name), 0),
            Operation::Kill(name) if ok => self.exit(Self::place(&name), 137),
            _ => {}
        }
    }

    fn exit(&mut self, place: usize, code: i32) {
        if let Some(start_count) = self.process[place].take() {
            self.apply(Event::Exited {
                unit: UNITS[place].parse().unwrap(),
                start_count,
                code: Some(code),
                why: None,
                is_elsewhere: false,
            });
        }
    }

    fn end_probe(&mut self, place: usize, ok: bool) {
        let unit = &self.life.units[place];
        let (name, start_count) = (unit.name.clone(), unit.start_count);
        if let Some(kind) = unit.probe {
            let outcome = if ok {
                Ok(())
            } else {
                Err(ProbeError::Failed("no answer".to_owned()))
            };
            self.apply(Event::ProbeDone {
                unit: name,
                kind,
                start_count,
                outcome,
            });
        }
    }

    fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Want(state) => self.apply(Event::Wanted(state)),
            Turn::Crash(place, code) => self.exit(place, code),
            Turn::Config => self.apply(Event::Configs(BTreeSet::from(["conf".parse().unwrap()]))),
            Turn::Unheld => self.apply(Event::Unheld),
            Turn::Wait(ms) => self.now += ms,
            Turn::OperationEnds { ok, held } => self.end_operation(ok, held),
            Turn::ProbeEnds { unit, ok } => self.end_probe(unit, ok),
        }
        self.think();
    }

    /// A world without faults: what begins succeeds, time goes on, and who is asked to end does.
    fn settle(&mut self) {
        self.stubborn = false;
        self.apply(Event::Unheld);
        for _ in 0..400 {
            let wake_at = self.think();
            if self.life.operation.is_some() {
                self.end_operation(true, false);
            } else if let Some(place) = self.life.units.iter().position(|unit| unit.probe.is_some())
            {
                self.end_probe(place, true);
            } else if let Some(place) = self.one_shot_that_runs() {
                self.exit(place, 0);
            } else if let Some(at) = wake_at.filter(|_| !self.is_at_goal()) {
                self.now = at;
            } else {
                break;
            }
        }
    }

    fn one_shot_that_runs(&self) -> Option<usize> {
        let first = &self.life.units[0];
        matches!(first.phase, Phase::Up { passed: false, .. }).then_some(0)
    }

    fn is_at_goal(&self) -> bool {
        match self.life.wanted {
            PodState::Running => is_settled(&self.spec, &self.life),
            PodState::Stopped => self.life.is_down() && self.process == [None; 3],
            PodState::Removed => self.life.is_down() && self.life.removed,
        }
    }
}

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: testkit::soak::count(2_000),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn histories_keep_sense_and_reach_their_goal_when_faults_end(turns in prop::collection::vec(turn(), 0..120)) {
        let mut world = World::new();
        world.think();
        for turn in turns {
            world.take(turn);
        }
        for goal in [world.life.wanted, PodState::Running, PodState::Stopped, PodState::Removed] {
            world.apply(Event::Wanted(goal));
            world.settle();
            prop_assert!(world.is_at_goal(), "{goal:?} was not reached: {:#?}", world.life);
        }
    }

    #[test]
    fn a_pod_that_should_not_run_starts_nothing(turns in prop::collection::vec(turn(), 0..60)) {
        let mut world = World::new();
        for turn in turns {
            world.take(turn);
        }
        world.apply(Event::Wanted(PodState::Stopped));
        let before: Vec<u32> = world.life.units.iter().map(|unit| unit.start_count).collect();
        world.settle();
        let after: Vec<u32> = world.life.units.iter().map(|unit| unit.start_count).collect();
        prop_assert_eq!(before, after);
        prop_assert!(world.life.units.iter().all(crate::life::UnitLife::is_gone));
    }
}

#[test]
fn a_liveness_failure_is_a_stop_first() {
    let mut world = World::new();
    world.settle();
    world.now += 10_000;
    world.think();
    let third: UnitName = "third".parse().unwrap();
    assert_eq!(
        world.life.unit(&third).unwrap().probe,
        Some(ProbeKind::Liveness)
    );
    world.take(Turn::ProbeEnds { unit: 2, ok: false });
    assert_eq!(
        world.life.operation,
        Some(Operation::Stop(third, StopReason::Unhealthy))
    );
}
