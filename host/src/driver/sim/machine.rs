//! A machine that outlives its daemons: a disk, processes, steps that go on when their daemon is killed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use names::UnitName;
use podspec::CompiledPod;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::AbortHandle;

use super::super::{Asked, Deed, End, Found, Paper, Survivor, Work, World};
use super::disk::{Disk, Name};
use super::random::{Faults, Random};
use super::rules;
use crate::decrypt::Marks;
use crate::life::{Errand, Operation, ProbeError, ProbeKind, Trouble};
use crate::looks::Seen;
use crate::system::Clock;

/// What is shown of a history that failed.
const TRACE_MAX: usize = 200;
/// After so long the deadline of a step ends it.
const DEADLINE_MS: u64 = 300_000;

struct Process {
    start_count: u32,
    since_ms: u64,
    end: watch::Sender<Option<End>>,
}

/// Who wanted the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It ended by itself.
    Own,
    /// A driver asked it to, or killed it.
    Asked,
    /// The same, but on a full disk: no other driver can know that.
    AskedUnrecorded,
}

/// A step that is under way, which holds the lock of the release.
struct Runner {
    line: String,
    abort: Option<AbortHandle>,
    has_begun: bool,
}

pub(super) struct State {
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) disk: Disk,
    pub(super) is_disk_full: bool,
    processes: BTreeMap<UnitName, Process>,
    runner: Option<Runner>,
    freed: Arc<Notify>,
    counts: BTreeMap<UnitName, u32>,
    /// How the last process of each unit ended, known to no driver.
    ends: BTreeMap<UnitName, (Cause, Option<i32>)>,
    pub(super) told: Option<Paper>,
    pub(super) action: Option<Asked>,
    pub(super) violation: Option<String>,
    pub(super) trace: VecDeque<String>,
    lines: watch::Sender<String>,
    seen: watch::Sender<Seen>,
    clock: Clock,
}

/// The machine, shared by everybody.
#[derive(Clone)]
pub(super) struct Machine(Arc<Mutex<State>>);

impl Machine {
    pub(super) fn new(seed: u64, faults: Faults, clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed),
            faults,
            disk: Disk::default(),
            is_disk_full: false,
            processes: BTreeMap::new(),
            runner: None,
            freed: Arc::new(Notify::new()),
            counts: BTreeMap::new(),
            ends: BTreeMap::new(),
            told: None,
            action: None,
            violation: None,
            trace: VecDeque::new(),
            lines: watch::Sender::default(),
            seen: watch::Sender::default(),
            clock,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// What the kernel does when the daemon is killed: a step that has begun goes on.
    pub(super) fn daemon_killed(&self) {
        let mut state = self.state();
        state.told = None;
        if let Some(runner) = &state.runner
            && !runner.has_begun
        {
            if let Some(abort) = &runner.abort {
                abort.abort();
            }
            state.runner = None;
        }
    }

    async fn step(self, spec: Arc<CompiledPod>, operation: Operation, start_count: u32) -> Outcome {
        let (before, after, fate) = {
            let mut state = self.state();
            let fate = state.fate();
            (state.random.pause_ms(), state.random.pause_ms(), fate)
        };
        // Until then the plugin was asked; a daemon that is killed meanwhile has begun no step.
        pause(before / 20).await;
        if !self.state().begin_step(&spec, &operation) {
            self.state().end_step(&operation);
            return (refused("no space left on the disk", false), fate);
        }
        pause(if fate == Fate::Hangs {
            DEADLINE_MS
        } else {
            before
        })
        .await;
        let outcome = self.state().take_effect(&operation, start_count, fate);
        pause(after).await;
        self.state().end_step(&operation);
        (outcome, fate)
    }

    /// Writes one file after the other; a daemon that is killed meanwhile writes no more.
    async fn write(self, paper: Paper) -> bool {
        self.state().check(rules::check_paper(&paper));
        self.state().note_told(&paper);
        let mut is_written = true;
        for name in Name::EACH {
            let ms = self.state().disk_ms();
            if ms > 0 {
                pause(ms).await;
            }
            let mut state = self.state();
            is_written &= !state.is_disk_full;
            if !state.is_disk_full {
                state.disk.replace(name, &paper);
                let lies_there = state.action.as_ref();
                let is_known = lies_there.is_some_and(|asked| paper.hand.has_taken(&asked.file));
                if name == Name::Hand && is_known {
                    state.action = None;
                }
            }
        }
        self.state().told = Some(paper);
        is_written
    }
}

type Outcome = (Result<Deed, Trouble>, Fate);

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Succeeds,
    Fails { held: bool },
    FailsLate,
    Hangs,
    Lost,
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn refused<T>(message: &str, held: bool) -> Result<T, Trouble> {
    Err(Trouble {
        message: message.to_owned(),
        held,
    })
}

impl State {
    pub(super) fn note(&mut self, what: impl Into<String>) {
        if self.trace.len() == TRACE_MAX {
            self.trace.pop_front();
        }
        let now = self.clock.now_ms();
        self.trace.push_back(format!("{now} {}", what.into()));
    }

    fn check(&mut self, outcome: Result<(), String>) {
        if let Err(what) = outcome {
            self.violation.get_or_insert(what);
        }
    }

    fn fate(&mut self) -> Fate {
        let (kind, held) = (self.random.below(100), self.random.percent(30));
        let fails = self.faults.has(Faults::FAILED_OPERATION);
        match kind {
            0..12 if fails => Fate::Fails { held },
            12..18 if fails => Fate::FailsLate,
            18..21 if fails => Fate::Hangs,
            21..25 if self.faults.has(Faults::LOST_OPERATION) => Fate::Lost,
            _ => Fate::Succeeds,
        }
    }

    /// False when what it needs could not be written.
    fn begin_step(&mut self, spec: &Arc<CompiledPod>, operation: &Operation) -> bool {
        if let Some(runner) = &mut self.runner {
            runner.has_begun = true;
        }
        let makes = matches!(
            operation,
            Operation::Start(_) | Operation::Errand(Errand::Create)
        );
        if makes && self.is_disk_full {
            return false;
        }
        if makes {
            self.disk.remains = true;
            self.disk.spec = Some(Arc::clone(spec));
        }
        true
    }

    fn take_effect(
        &mut self,
        operation: &Operation,
        start_count: u32,
        fate: Fate,
    ) -> Result<Deed, Trouble> {
        match fate {
            Fate::Fails { held } => return refused("it was refused", held),
            Fate::Hangs => return refused("its time is over", false),
            Fate::Succeeds | Fate::FailsLate | Fate::Lost => {}
        }
        if fate == Fate::FailsLate && !matches!(operation, Operation::Start(_)) {
            return refused("it failed", false);
        }
        match operation {
            Operation::Start(unit) => self.start(unit, start_count, fate),
            Operation::Stop(unit, _) => {
                let is_stubborn = self.random.percent(40);
                if !(is_stubborn && self.faults.has(Faults::STUBBORN_UNIT)) {
                    self.end(unit, Cause::Asked, Some(0));
                }
                Ok(Deed::default())
            }
            Operation::Kill(unit) => {
                self.end(unit, Cause::Asked, Some(137));
                Ok(Deed::default())
            }
            Operation::Remove => Ok(self.remove()),
            Operation::Collect | Operation::Signal(..) | Operation::Errand(_) | Operation::Tick => {
                Ok(Deed::default())
            }
        }
    }

    fn start(&mut self, unit: &UnitName, start_count: u32, fate: Fate) -> Result<Deed, Trouble> {
        if self.is_disk_full {
            return refused("no space left on the disk", false);
        }
        if let Some(process) = self.processes.get(unit) {
            return Ok(survived(unit, process, None));
        }
        let least = self.counts.get(unit).copied().unwrap_or_default();
        if start_count <= least {
            self.check(Err(format!(
                "{unit} was started {least} times, now {start_count}"
            )));
        }
        self.counts.insert(unit.clone(), start_count);
        self.disk.exited.remove(unit);
        let process = Process {
            start_count,
            since_ms: self.clock.now_ms(),
            end: watch::Sender::new(None),
        };
        let deed = match fate {
            Fate::FailsLate => survived(unit, &process, Some("its network failed".to_owned())),
            _ => Deed::default(),
        };
        self.processes.insert(unit.clone(), process);
        Ok(deed)
    }

    fn remove(&mut self) -> Deed {
        if let Some((unit, process)) = self.processes.iter().next() {
            return survived(&unit.clone(), process, None);
        }
        self.disk.remove();
        self.counts.clear();
        Deed::default()
    }

    fn end_step(&mut self, operation: &Operation) {
        self.note(format!("ended {operation:?}"));
        self.runner = None;
        self.freed.notify_waiters();
    }

    pub(super) fn running(&self) -> Vec<UnitName> {
        self.processes.keys().cloned().collect()
    }

    /// A process ends by itself; without a code nobody saw how.
    pub(super) fn exit(&mut self, unit: &UnitName, code: Option<i32>) {
        self.end(unit, Cause::Own, code);
    }

    /// How the last process of a unit ended; none while it runs, and when there never was one.
    pub(super) fn last_end(&self, unit: &UnitName) -> Option<(Cause, Option<i32>)> {
        let runs = self.processes.contains_key(unit);
        self.ends.get(unit).copied().filter(|_| !runs)
    }

    fn end(&mut self, unit: &UnitName, cause: Cause, code: Option<i32>) {
        let Some(process) = self.processes.remove(unit) else {
            return;
        };
        let end = End {
            code,
            ..End::default()
        };
        self.note(format!("{unit} #{} ends: {code:?}", process.start_count));
        let cause = match cause {
            Cause::Asked if self.is_disk_full => Cause::AskedUnrecorded,
            cause => cause,
        };
        self.ends.insert(unit.clone(), (cause, code));
        let record = (self.clock.now_ms(), process.start_count, end.clone());
        if self.disk.remains {
            self.disk.exited.insert(unit.clone(), record);
        }
        process.end.send_replace(Some(end));
    }

    fn found(&self) -> Found {
        let units = self.disk.spec.iter().flat_map(|spec| &spec.units);
        let names: Vec<_> = units.map(|unit| unit.name.clone()).collect();
        let running = |name: &UnitName| {
            let process = self.processes.get(name)?;
            Some((name.clone(), (process.since_ms, process.start_count)))
        };
        let exited = |name: &UnitName| Some((name.clone(), self.disk.exited.get(name)?.clone()));
        let found_running: BTreeMap<_, _> = names.iter().filter_map(running).collect();
        Found {
            spec: self.disk.spec.clone(),
            memory: self.disk.memory(),
            hand: self.disk.hand(),
            exited: names.iter().filter_map(exited).collect(),
            running: found_running,
            remains: self.disk.remains,
        }
    }

    fn note_told(&mut self, paper: &Paper) {
        let told = format!(
            "told {:?} ready {} `{}`",
            paper.status.status, paper.status.readiness, paper.status.message
        );
        let told_before = self.told.as_ref().map(|told| &told.status.message);
        if told_before != Some(&paper.status.message) || paper.status.message.is_empty() {
            self.note(told);
        }
    }

    /// How long the disk takes for one file: mostly so little that nothing can happen meanwhile.
    fn disk_ms(&mut self) -> u64 {
        match self.random.below(20) {
            0 => self.random.below(500),
            _ => 0,
        }
    }
}

fn survived(unit: &UnitName, process: &Process, incomplete: Option<String>) -> Deed {
    let survivor = Survivor {
        since_ms: process.since_ms,
        start_count: process.start_count,
        incomplete,
    };
    Deed {
        survivors: BTreeMap::from([(unit.clone(), survivor)]),
        ..Deed::default()
    }
}

impl World for Machine {
    fn find(&self) -> Work<Found> {
        let machine = self.clone();
        Box::pin(async move {
            loop {
                let freed = {
                    let state = machine.state();
                    if state.runner.is_none() {
                        return state.found();
                    }
                    Arc::clone(&state.freed).notified_owned()
                };
                freed.await;
            }
        })
    }

    fn operate(
        &self,
        spec: Arc<CompiledPod>,
        operation: Operation,
        start_count: u32,
        _: Vec<u8>,
    ) -> Work<Result<Deed, Trouble>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let line = format!("{operation:?} #{start_count}");
        state.note(format!("begins {line}"));
        let under_way = state.runner.as_ref().map(|runner| runner.line.clone());
        let checked = rules::check_operation(&operation, under_way.as_deref(), state.told.as_ref());
        state.check(checked);
        state.runner = Some(Runner {
            line,
            abort: None,
            has_begun: false,
        });
        let step = self.clone().step(spec, operation, start_count);
        let task = tokio::spawn(async move {
            let _ = sender.send(step.await);
        });
        if let Some(runner) = &mut state.runner {
            runner.abort = Some(task.abort_handle());
        }
        Box::pin(async move {
            match receiver.await.unwrap() {
                // A panic without its message, of which there would be many.
                (_, Fate::Lost) => std::panic::resume_unwind(Box::new("lost")),
                (outcome, _) => outcome,
            }
        })
    }

    /// No pod here has an encrypted config.
    fn reveal(&self, _: Arc<CompiledPod>) -> Work<Option<Result<Marks, String>>> {
        Box::pin(std::future::ready(None))
    }

    fn read_action(&self) -> Work<Option<Asked>> {
        Box::pin(std::future::ready(self.state().action.clone()))
    }

    fn lines(&self) -> watch::Receiver<String> {
        self.state().lines.subscribe()
    }

    fn look(&self, _: Arc<CompiledPod>, _: Vec<u8>) {}

    fn seen(&self) -> watch::Receiver<Seen> {
        self.state().seen.subscribe()
    }

    fn outdated(&self) -> BTreeSet<UnitName> {
        BTreeSet::new()
    }

    fn cancel(&self) {
        self.state().note("cancel");
    }

    fn probe(
        &self,
        _: Arc<CompiledPod>,
        unit: UnitName,
        kind: ProbeKind,
    ) -> Work<Result<(), ProbeError>> {
        let mut state = self.state();
        let (ms, answer) = (state.random.below(2_000), state.random.below(100));
        let fails = state.faults.has(Faults::FAILED_PROBE);
        let outcome = match answer {
            0..20 if fails => Err(ProbeError::Failed(format!("{unit} {}", kind.as_str()))),
            20..25 if fails => Err(ProbeError::NotAsked("no plugin".to_owned())),
            _ => Ok(()),
        };
        Box::pin(async move {
            pause(ms).await;
            outcome
        })
    }

    fn ended(&self, unit: UnitName, start_count: u32) -> Work<End> {
        let state = self.state();
        let process = state.processes.get(&unit);
        if let Some(process) = process.filter(|process| process.start_count == start_count) {
            let mut end = process.end.subscribe();
            return Box::pin(async move {
                let end = end.wait_for(Option::is_some).await;
                end.ok().and_then(|end| end.clone()).unwrap_or_default()
            });
        }
        let record = state.disk.exited.get(&unit).cloned();
        let end = record.filter(|(_, count, _)| *count == start_count);
        Box::pin(std::future::ready(
            end.map(|(_, _, end)| end).unwrap_or_default(),
        ))
    }

    fn problem(&self, _: &str) -> Option<String> {
        None
    }

    fn tell(&self, paper: Paper) -> Work<bool> {
        Box::pin(self.clone().write(paper))
    }
}
