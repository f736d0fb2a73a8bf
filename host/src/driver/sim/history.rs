//! One history: what people and the world do, one turn after the other, and the daemon meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hostfiles::{PodAction, PodVerb};
use names::PodState;
use podspec::CompiledPod;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::super::{Asked, Driver, Orders};
use super::machine::Machine;
use super::random::Faults;
use crate::plan::tables::pod;
use crate::scan::DesiredRelease;
use crate::system::Clock;

/// Pods that may stand in the place of one another. The unit `once` ends by itself when all is well.
const PODS: [&str; 3] = [
    "- name: once
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
  livenessProbe: {timeoutSeconds: 1, check: {tcp: {port: 80}}}",
    "- name: second
  restart: on-failure
  mounts: [{volume: conf, dest: /conf}]
- name: fourth
  restart: never",
    "- name: third
  restart: always
  stopTimeout: 1
  livenessProbe: {timeoutSeconds: 1, check: {tcp: {port: 80}}}",
];

/// A history that is under way.
pub(super) struct History {
    pub(super) machine: Machine,
    pub(super) clock: Clock,
    pub(super) desired: watch::Sender<Option<DesiredRelease>>,
    surroundings: watch::Sender<u64>,
    look: Arc<Notify>,
    action: Arc<Notify>,
    shutdown: watch::Sender<bool>,
    pub(super) driver: Option<JoinHandle<()>>,
    away: Option<DesiredRelease>,
    pods: Vec<Arc<CompiledPod>>,
    /// True when a person has asked for something that may hold the pod down to the end.
    may_be_held_down: bool,
    /// How many requests there were.
    requests: u32,
}

impl History {
    pub(super) fn begin(seed: u64, faults: Faults) -> Self {
        let clock = Clock::start();
        let pods: Vec<_> = PODS.iter().map(|units| Arc::new(pod(units))).collect();
        let desired = DesiredRelease {
            state: Ok(Some(PodState::Running)),
            pod: Ok(Arc::clone(&pods[0])),
            program: None,
            configs: BTreeMap::from([("conf".parse().unwrap(), "0".to_owned())]),
            programs: String::new(),
            mappings: vec!["61000:30000:10:false".parse().unwrap()],
            mappings_problem: None,
        };
        let mut history = Self {
            machine: Machine::new(seed, faults, clock),
            clock,
            desired: watch::Sender::new(Some(desired)),
            surroundings: watch::Sender::new(0),
            look: Arc::default(),
            action: Arc::default(),
            shutdown: watch::Sender::new(false),
            driver: None,
            away: None,
            pods,
            may_be_held_down: false,
            requests: 0,
        };
        history.ensure_driver();
        history
    }

    pub(super) fn events(&self) -> Vec<String> {
        // The first number is the time of the wall.
        let without_time = |line: &String| line.split_once(' ').unwrap().1.to_owned();
        self.machine
            .state()
            .trace
            .iter()
            .map(without_time)
            .collect()
    }

    pub(super) fn trace(&self) -> String {
        let trace: Vec<_> = self.machine.state().trace.iter().cloned().collect();
        trace.join("\n")
    }

    pub(super) async fn live(&mut self, turns: u32) -> Result<(), String> {
        for _ in 0..turns {
            self.turn().await;
            let ms = self.machine.state().random.pause_ms();
            self.pass(ms).await?;
            self.machine.state().disk.check()?;
        }
        self.end_faults();
        self.reach_goals().await
    }

    /// Lets everything happen that happens within this time.
    pub(super) async fn pass(&mut self, ms: u64) -> Result<(), String> {
        self.ensure_driver();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        if self.driver.as_ref().is_some_and(JoinHandle::is_finished) {
            let driver = self.driver.take().unwrap();
            driver
                .await
                .map_err(|error| format!("the driver: {error}"))?;
        }
        self.ensure_driver();
        self.machine.state().violation.take().map_or(Ok(()), Err)
    }

    /// A daemon has a driver for every release that is there.
    fn ensure_driver(&mut self) {
        if self.driver.is_some() || self.desired.borrow().is_none() {
            return;
        }
        self.shutdown.send_replace(false);
        let orders = Orders {
            desired: self.desired.subscribe(),
            surroundings: self.surroundings.subscribe(),
            look: Arc::clone(&self.look),
            action: Arc::clone(&self.action),
            leaves: false,
            shutdown: self.shutdown.subscribe(),
        };
        let id = "web:1.0.0".parse().unwrap();
        let driver = Driver::new(id, self.machine.clone(), orders, self.clock);
        self.driver = Some(tokio::spawn(driver.run()));
    }

    async fn turn(&mut self) {
        let kind = self.machine.state().random.below(100);
        let faults = self.machine.state().faults;
        match kind {
            0..12 => self.want(),
            12..18 if faults.has(Faults::OTHER_CONFIG) => self.change_config(),
            18..24 if faults.has(Faults::OTHER_POD) => self.change_pod(),
            24..27 if faults.has(Faults::TORN_POD) => {
                self.change("torn pod", |desired| desired.pod = Err("torn".to_owned()));
            }
            27..50 if faults.has(Faults::ENDED_UNIT) => self.end_unit(),
            50..62 if faults.has(Faults::REQUEST) => self.ask(),
            62..76 if faults.has(Faults::KILLED_DAEMON) => self.kill_daemon().await,
            76..79 => {
                self.machine.state().note("daemon asked to end");
                self.shutdown.send_replace(true);
            }
            79..84 if faults.has(Faults::TAKEN_AWAY) => self.take_away(),
            84..88 if faults.has(Faults::FULL_DISK) => {
                let mut state = self.machine.state();
                state.is_disk_full = !state.is_disk_full;
                let full = state.is_disk_full;
                state.note(format!("disk full: {full}"));
            }
            88..92 => self.surroundings.send_modify(|revision| *revision += 1),
            92..94 => self.look.notify_one(),
            _ => {}
        }
    }

    fn change(&self, what: &str, change: impl FnOnce(&mut DesiredRelease)) {
        self.machine.state().note(what);
        self.desired
            .send_if_modified(|desired| desired.as_mut().map(change).is_some());
    }

    pub(super) fn set_state(&self, state: PodState) {
        self.change(&format!("wanted {state}"), |desired| {
            desired.state = Ok(Some(state));
        });
    }

    fn want(&self) {
        let states = [
            PodState::Running,
            PodState::Running,
            PodState::Stopped,
            PodState::Removed,
        ];
        let state = self.machine.state().random.one_of(&states);
        self.set_state(state);
    }

    fn change_config(&self) {
        let text = self.machine.state().random.below(1_000).to_string();
        self.change("config", |desired| {
            desired.configs.insert("conf".parse().unwrap(), text);
        });
    }

    fn change_pod(&self) {
        let place = self.machine.state().random.one_of(&[0, 1, 2]);
        let pod = Arc::clone(&self.pods[place]);
        self.change(&format!("pod {place}"), |desired| desired.pod = Ok(pod));
    }

    fn end_unit(&self) {
        let mut state = self.machine.state();
        let units = state.running();
        let place = state.random.one_of(&[0, 1, 2]);
        let code = state.random.one_of(&[Some(0), Some(1), Some(137), None]);
        if let Some(unit) = units.get(place) {
            state.exit(unit, code);
        }
    }

    fn ask(&mut self) {
        let mut state = self.machine.state();
        let verb = state.random.one_of(&PodVerb::ALL);
        let holds_down = [PodVerb::Stop, PodVerb::Kill, PodVerb::Rm, PodVerb::Create];
        self.may_be_held_down |= holds_down.contains(&verb);
        let mut action = PodAction::new(verb);
        if state.random.percent(30) {
            action.words.push("second".to_owned());
        }
        drop(state);
        self.put(action);
    }

    /// A person who wants the pod up takes back what another has asked for.
    pub(super) fn release_hold(&mut self) {
        if std::mem::take(&mut self.may_be_held_down) {
            self.put(PodAction::new(PodVerb::Run));
        }
    }

    fn put(&mut self, action: PodAction) {
        self.requests += 1;
        let mut state = self.machine.state();
        state.note(format!("asked {} {:?}", action.verb, action.words));
        state.action = Some(Asked {
            action,
            file: self.requests.to_string(),
        });
        self.action.notify_one();
    }

    async fn kill_daemon(&mut self) {
        self.machine.state().note("daemon killed");
        if let Some(driver) = self.driver.take() {
            driver.abort();
            // It was cancelled, as is wanted here.
            let _ = driver.await;
            self.machine.daemon_killed();
        }
        let ms = self.machine.state().random.pause_ms();
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn take_away(&mut self) {
        match self.away.take() {
            Some(desired) => {
                self.machine.state().note("put back");
                self.desired.send_replace(Some(desired));
            }
            None => {
                self.machine.state().note("taken away");
                self.away = self.desired.send_replace(None);
            }
        }
    }

    fn end_faults(&mut self) {
        {
            let mut state = self.machine.state();
            state.note("faults end");
            state.faults = Faults::NONE;
            state.is_disk_full = false;
        }
        if self.away.is_some() {
            self.take_away();
        }
        let pod = Arc::clone(&self.pods[0]);
        self.change("pod 0", |desired| desired.pod = Ok(pod));
        self.surroundings.send_modify(|revision| *revision += 1);
    }
}
