//! A world without effects: what a driver asks of it is written down, and tests decide what it brings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use hostfiles::{PodAction, PodStatus};
use names::{PodState, UnitName};
use podspec::CompiledPod;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use super::{Asked, Deed, Driver, End, Found, Orders, Paper, Survivor, Work, World};
use crate::decrypt::Marks;
use crate::life::{Operation, ProbeError, ProbeKind, Trouble};
use crate::looks::Seen;
use crate::scan::DesiredRelease;
use crate::system::Clock;

#[derive(Default)]
struct State {
    found: Found,
    /// Units that run a program which was replaced.
    outdated: BTreeSet<UnitName>,
    /// What was asked, in order.
    asked: Vec<String>,
    /// What operations bring that do not succeed, by their line.
    troubles: BTreeMap<String, Trouble>,
    /// What operations find that was thought not to run, by their line, once.
    survivors: BTreeMap<String, (UnitName, Survivor)>,
    /// Operations that end without a result, by their line, once.
    lost: BTreeSet<String>,
    /// Probes that cannot be run.
    not_asked: BTreeSet<&'static str>,
    /// What probes bring; success when nothing is said.
    probes: BTreeMap<&'static str, String>,
    /// Units that end at once when they are asked to.
    obedient: bool,
    running: BTreeMap<UnitName, oneshot::Sender<End>>,
    told: Vec<Paper>,
    /// How much was told before an operation began, by its line.
    told_before: BTreeMap<String, usize>,
    is_disk_full: bool,
    /// What steps write.
    lines: watch::Sender<String>,
    /// What looks bring.
    seen: watch::Sender<Seen>,
    /// How often a look was wanted.
    looks: usize,
    actions: VecDeque<PodAction>,
    /// How many of them were read.
    requests: usize,
    /// What opening encrypted configs brings, one after the other.
    reveals: VecDeque<Result<Marks, String>>,
    /// Operations that do not end before they are told to, by their line.
    slow: BTreeSet<String>,
    let_end: Arc<Notify>,
}

/// The world, shared with the test.
#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Mutex<State>>);

fn done<T: Send + 'static>(value: T) -> Work<T> {
    Box::pin(std::future::ready(value))
}

impl World for Fake {
    fn find(&self) -> Work<Found> {
        done(self.0.lock().unwrap().found.clone())
    }

    fn operate(
        &self,
        _: Arc<CompiledPod>,
        operation: Operation,
        _: u32,
        _: Vec<u8>,
    ) -> Work<Result<Deed, Trouble>> {
        let mut state = self.0.lock().unwrap();
        let line = match &operation {
            Operation::Start(unit) => format!("start {unit}"),
            Operation::Stop(unit, _) => format!("stop {unit}"),
            Operation::Kill(unit) => format!("kill {unit}"),
            Operation::Signal(unit, _) => format!("signal {unit}"),
            Operation::Collect => "collect".to_owned(),
            Operation::Remove => "remove".to_owned(),
            Operation::Errand(errand) => format!("{errand:?}"),
            Operation::Tick => "tick".to_owned(),
        };
        state.asked.push(line.clone());
        let told = state.told.len();
        state.told_before.insert(line.clone(), told);
        if state.lost.remove(&line) {
            if let Some((unit, left)) = state.survivors.remove(&line) {
                let left = (left.since_ms, left.start_count);
                state.found.running.insert(unit, left);
            }
            return Box::pin(async { panic!("a mistake in the daemon, as this test wants it") });
        }
        if let Some(survivor) = state.survivors.remove(&line) {
            return done(Ok(Deed {
                survivors: BTreeMap::from([survivor]),
                ..Deed::default()
            }));
        }
        if state.slow.remove(&line) {
            let let_end = Arc::clone(&state.let_end);
            return Box::pin(async move {
                let_end.notified().await;
                Ok(Deed::default())
            });
        }
        if let Some(trouble) = state.troubles.get(&line) {
            return done(Err(trouble.clone()));
        }
        let code = match &operation {
            Operation::Stop(..) if state.obedient => Some(0),
            Operation::Kill(_) => Some(137),
            _ => None,
        };
        if let (Some(code), Some(unit)) = (code, operation.unit()) {
            end(&mut state, unit, code);
        }
        done(Ok(Deed::default()))
    }

    fn probe(
        &self,
        _: Arc<CompiledPod>,
        _: UnitName,
        kind: ProbeKind,
    ) -> Work<Result<(), ProbeError>> {
        if self.0.lock().unwrap().not_asked.contains(kind.as_str()) {
            return done(Err(ProbeError::NotAsked("no plugin".into())));
        }
        let trouble = self.0.lock().unwrap().probes.get(kind.as_str()).cloned();
        done(trouble.map_or(Ok(()), |why| Err(ProbeError::Failed(why))))
    }

    fn reveal(&self, _: Arc<CompiledPod>) -> Work<Option<Result<Marks, String>>> {
        done(self.0.lock().unwrap().reveals.pop_front())
    }

    fn read_action(&self) -> Work<Option<Asked>> {
        let mut state = self.0.lock().unwrap();
        let action = state.actions.pop_front();
        state.requests += usize::from(action.is_some());
        let file = format!("{} {action:?}", state.requests);
        done(action.map(|action| Asked { action, file }))
    }

    fn lines(&self) -> watch::Receiver<String> {
        self.0.lock().unwrap().lines.subscribe()
    }

    fn outdated(&self) -> BTreeSet<UnitName> {
        self.0.lock().unwrap().outdated.clone()
    }

    fn cancel(&self) {
        self.0.lock().unwrap().asked.push("cancel".to_owned());
    }

    fn ended(&self, unit: UnitName, _: u32) -> Work<End> {
        let (sender, receiver) = oneshot::channel();
        let before = self.0.lock().unwrap().running.insert(unit.clone(), sender);
        assert!(before.is_none(), "two processes of {unit}");
        Box::pin(async { receiver.await.unwrap_or_default() })
    }

    fn look(&self, _: Arc<CompiledPod>, _: Vec<u8>) {
        self.0.lock().unwrap().looks += 1;
    }

    fn seen(&self) -> watch::Receiver<Seen> {
        self.0.lock().unwrap().seen.subscribe()
    }

    fn problem(&self, _: &str) -> Option<String> {
        None
    }

    fn tell(&self, paper: Paper) -> Work<bool> {
        let mut state = self.0.lock().unwrap();
        state.told.push(paper);
        done(!state.is_disk_full)
    }
}

fn end(state: &mut State, unit: &UnitName, code: i32) {
    if let Some(sender) = state.running.remove(unit) {
        sender
            .send(End {
                code: Some(code),
                ..End::default()
            })
            .unwrap();
    }
}

/// A driver in a fake world.
pub(super) struct Stage {
    pub(super) world: Fake,
    desired: watch::Sender<Option<DesiredRelease>>,
    surroundings: watch::Sender<u64>,
    look: Arc<Notify>,
    action: Arc<Notify>,
    shutdown: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Stage {
    /// A driver of this pod, which should run, in a world that has been prepared.
    pub(super) fn new(pod: CompiledPod, prepare: impl FnOnce(&mut Prepare<'_>)) -> Self {
        let world = Fake::default();
        prepare(&mut Prepare(&world));
        let (desired, desired_seen) = watch::channel(Some(desired(pod, PodState::Running)));
        let (surroundings, surroundings_seen) = watch::channel(0);
        let (shutdown, shutdown_seen) = watch::channel(false);
        let look = Arc::new(Notify::new());
        let action = Arc::new(Notify::new());
        let orders = Orders {
            desired: desired_seen,
            surroundings: surroundings_seen,
            look: Arc::clone(&look),
            action: Arc::clone(&action),
            leaves: false,
            shutdown: shutdown_seen,
        };
        let driver = Driver::new(
            "web:1.0.0".parse().unwrap(),
            world.clone(),
            orders,
            Clock::start(),
        );
        let task = Some(tokio::spawn(driver.run()));
        Self {
            world,
            desired,
            surroundings,
            look,
            action,
            shutdown,
            task,
        }
    }

    /// Lets everything happen that happens within this time.
    pub(super) async fn pass(&self, ms: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }

    /// What the driver did since this was asked last.
    pub(super) fn asked(&self) -> String {
        std::mem::take(&mut self.world.0.lock().unwrap().asked).join(", ")
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut DesiredRelease)) {
        self.desired
            .send_modify(|desired| change(desired.as_mut().unwrap()));
    }

    pub(super) fn take_away(&self) {
        self.desired.send_replace(None);
    }

    pub(super) fn surroundings_changed(&self) {
        self.surroundings.send_modify(|revision| *revision += 1);
    }

    /// A person asks for something.
    pub(super) fn ask(&self, text: &str) {
        let action = hostfiles::Format::parse(text).unwrap();
        self.world.0.lock().unwrap().actions.push_back(action);
        self.action.notify_one();
    }

    /// True while nobody has taken what a person has asked for last.
    pub(super) fn is_asked(&self) -> bool {
        !self.world.0.lock().unwrap().actions.is_empty()
    }

    /// Somebody writes the status file.
    pub(super) fn damage(&self) {
        self.look.notify_one();
    }

    pub(super) fn exit(&self, unit: &str, code: i32) {
        end(
            &mut self.world.0.lock().unwrap(),
            &unit.parse().unwrap(),
            code,
        );
    }

    pub(super) fn prepare(&self) -> Prepare<'_> {
        Prepare(&self.world)
    }

    pub(super) fn status(&self) -> PodStatus {
        self.paper().status
    }

    pub(super) fn paper(&self) -> Paper {
        self.world.0.lock().unwrap().told.last().unwrap().clone()
    }

    /// What was told last before this operation began.
    pub(super) fn told_before(&self, operation: &str) -> Paper {
        let state = self.world.0.lock().unwrap();
        state.told[state.told_before[operation] - 1].clone()
    }

    pub(super) fn told_count(&self) -> usize {
        self.world.0.lock().unwrap().told.len()
    }

    pub(super) fn running(&self) -> usize {
        self.world.0.lock().unwrap().running.len()
    }

    /// Ends the daemon and waits until the driver has.
    pub(super) async fn shut_down(mut self) -> Self {
        self.shutdown.send_replace(true);
        self.until_over().await;
        self
    }

    pub(super) async fn until_over(&mut self) {
        self.task.take().unwrap().await.unwrap();
    }
}

/// What a test decides about the world.
pub(super) struct Prepare<'a>(&'a Fake);

impl Prepare<'_> {
    pub(super) fn obedient(&self) {
        self.0.0.lock().unwrap().obedient = true;
    }

    pub(super) fn probe(&self, kind: &'static str, outcome: Result<(), &str>) {
        let mut state = self.0.0.lock().unwrap();
        match outcome {
            Ok(()) => state.probes.remove(kind),
            Err(why) => state.probes.insert(kind, why.to_owned()),
        };
    }

    pub(super) fn trouble(&self, operation: &str, trouble: Option<(&str, bool)>) {
        let mut state = self.0.0.lock().unwrap();
        match trouble {
            None => state.troubles.remove(operation),
            Some((message, held)) => state.troubles.insert(
                operation.to_owned(),
                Trouble {
                    message: message.into(),
                    held,
                },
            ),
        };
    }

    /// The operation does not end before [`Self::let_end`].
    pub(super) fn slow(&self, operation: &str) {
        self.0.0.lock().unwrap().slow.insert(operation.to_owned());
    }

    pub(super) fn let_end(&self) {
        self.0.0.lock().unwrap().let_end.notify_one();
    }

    /// The step that is under way writes this.
    pub(super) fn line(&self, line: &str) {
        let state = self.0.0.lock().unwrap();
        state.lines.send_replace(line.to_owned());
    }

    pub(super) fn disk_full(&self, is_full: bool) {
        self.0.0.lock().unwrap().is_disk_full = is_full;
    }

    pub(super) fn survivor(&self, operation: &str, unit: &str, survivor: Survivor) {
        self.0
            .0
            .lock()
            .unwrap()
            .survivors
            .insert(operation.to_owned(), (unit.parse().unwrap(), survivor));
    }

    pub(super) fn reveal(&self, marks: Result<&str, &str>) {
        let marks = marks.map(|mark| [("conf".parse().unwrap(), mark.to_owned())].into());
        let mut state = self.0.0.lock().unwrap();
        state.reveals.push_back(marks.map_err(str::to_owned));
    }

    /// What was prepared and nobody has come for.
    pub(super) fn unrevealed(&self) -> usize {
        self.0.0.lock().unwrap().reveals.len()
    }

    pub(super) fn lose(&self, operation: &str) {
        self.0.0.lock().unwrap().lost.insert(operation.to_owned());
    }

    pub(super) fn not_asked(&self, kind: &'static str) {
        self.0.0.lock().unwrap().not_asked.insert(kind);
    }

    pub(super) fn outdated(&self, units: &[&str]) {
        let units = units.iter().map(|unit| unit.parse().unwrap());
        self.0.0.lock().unwrap().outdated = units.collect();
    }

    pub(super) fn found(&self, found: Found) {
        self.0.0.lock().unwrap().found = found;
    }
}

fn desired(pod: CompiledPod, state: PodState) -> DesiredRelease {
    DesiredRelease {
        state: Ok(Some(state)),
        pod: Ok(Arc::new(pod)),
        program: None,
        configs: BTreeMap::from([("conf".parse().unwrap(), "1".to_owned())]),
        programs: String::new(),
        mappings: vec!["61000:30000:10:false".parse().unwrap()],
        mappings_problem: None,
    }
}
