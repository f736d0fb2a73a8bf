//! Drives one release: one task owns everything of it, so that nothing is ever done twice at once.
//!
//! ```text
//!        ┌────────────── wait for a wake ◀───────────────────┐
//!        ▼                                                    │
//!   learn (Life::apply) ─▶ plan ─▶ begin operation, probes ─▶ tell (status, routes, memory)
//! ```
//!
//! What is decided is in `plan`, what is done is behind [`World`]: this task only carries messages
//! between the two. It never ends a unit because the daemon ends.

mod adopt;
mod asked;
mod memory;
mod reveal;
mod seen;
mod status;
mod wake;
mod work;
mod world;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use names::{PodState, ReleaseId, UnitName, VolumeName};
use podspec::CompiledPod;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::hand::Hand;
use crate::life::{Event, Life};
use crate::looks::Seen;
use crate::scan::DesiredRelease;
use crate::system::Clock;

pub use memory::{Memory, UnitMemory};
pub(crate) use status::{mounts, network, ports};
pub use wake::Wake;
pub use world::{Asked, Deed, End, Found, Paper, Survivor, Target, Work, World};

/// Wakes that wait to be taken. Each unit has at most one of a kind under way, so it is never full.
const INBOX_MAX: usize = 256;

/// What a driver is told from outside.
#[derive(Debug, Clone)]
pub struct Orders {
    /// What the release should be; none when it is not there any more.
    pub desired: watch::Receiver<Option<DesiredRelease>>,
    /// Changes when plugins, grants or the host's address have: what was held may be tried again.
    pub surroundings: watch::Receiver<u64>,
    /// Notified when there may be a request by hand.
    pub action: Arc<Notify>,
    /// True when the driver is there for one person only, and leaves when nothing is left to drive.
    pub leaves: bool,
    /// Notified when somebody has written the status file: its only writer is the driver.
    pub look: Arc<Notify>,
    /// True when the daemon ends.
    pub shutdown: watch::Receiver<bool>,
}

/// The task of one release.
pub struct Driver<W> {
    id: ReleaseId,
    world: Arc<W>,
    orders: Orders,
    clock: Clock,
    inbox: mpsc::Receiver<Wake>,
    sender: mpsc::Sender<Wake>,
    tasks: JoinSet<()>,
    /// The pod in service: the one that its units were started with.
    spec: Option<Arc<CompiledPod>>,
    life: Life,
    /// What a person has asked for.
    hand: Hand,
    /// How often it is being looked for a request just now.
    looks_for_requests: usize,
    /// The configs as the units know them.
    configs: BTreeMap<VolumeName, String>,
    /// The programs of the host home when they were looked at last.
    programs: Option<String>,
    encrypted: reveal::Encrypted,
    memory: Memory,
    /// What the steps of operations write last.
    lines: watch::Receiver<String>,
    /// What looks brought last.
    seen: watch::Receiver<Seen>,
    /// When the last operation ended.
    operated_ms: u64,
    /// What the operation that is under way wrote last.
    progress: Option<String>,
    told: Option<Paper>,
    /// When what was told last should be told again, because it may not stand on the disk.
    doubt: Option<u64>,
}

impl<W: World> Driver<W> {
    /// A driver that has not begun.
    #[must_use]
    pub fn new(id: ReleaseId, world: W, orders: Orders, clock: Clock) -> Self {
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        Self {
            id,
            lines: world.lines(),
            seen: world.seen(),
            operated_ms: 0,
            progress: None,
            world: Arc::new(world),
            orders,
            clock,
            inbox,
            sender,
            tasks: JoinSet::new(),
            spec: None,
            life: Life::empty(),
            hand: Hand::default(),
            looks_for_requests: 0,
            configs: BTreeMap::new(),
            programs: None,
            encrypted: reveal::Encrypted::default(),
            memory: Memory::default(),
            told: None,
            doubt: None,
        }
    }

    /// Drives the release until the daemon ends, or until it is gone, or a program has taken its place, and
    /// nothing of it is left.
    pub async fn run(mut self) {
        let mut shutdown = self.orders.shutdown.clone();
        let found = tokio::select! {
            biased;
            // Finding waits for the lock of the release, which may last: nothing is begun yet.
            _ = shutdown.wait_for(|ends| *ends) => return,
            found = self.world.find() => found,
        };
        self.adopt(&found);
        self.ask_for_look();
        self.learn_desired();
        self.ask_for_requests();
        self.tell().await;
        // Before anything is done: a pod that lies there to be stopped must not be started first.
        while self.looks_for_requests > 0 {
            match self.next_wake(None).await {
                Wake::Shutdown => return self.end().await,
                wake => self.learn(wake),
            }
        }
        loop {
            self.settle_hand();
            let (begun, wake_at) = self.act();
            // First it is written down what is about to be done, and the routes are withdrawn of a pod
            // that is about to be stopped.
            self.tell().await;
            if let Some(operation) = begun {
                self.carry_out(operation);
            }
            if self.is_over() {
                return;
            }
            let wake = self.next_wake(wake_at).await;
            if wake == Wake::Shutdown {
                return self.end().await;
            }
            self.learn(wake);
        }
    }

    /// Takes over what the directory of the release says now.
    fn learn_desired(&mut self) {
        let desired = self.orders.desired.borrow_and_update().clone();
        let Some(desired) = desired else {
            self.hand = Hand::default();
            return self.apply(Event::Wanted(PodState::Removed));
        };
        let before = self.life.wanted;
        self.change_spec(&desired);
        let has_another = self.spec.as_ref() != desired.pod.as_ref().ok() && desired.pod.is_ok();
        let replaced = self.spec.is_some() && (has_another || desired.program.is_some());
        // What cannot be read changes nothing.
        let wanted = match desired.state {
            _ if self.orders.leaves => self.hand.held(),
            Ok(file) => self.hand.wanted(file),
            Err(_) => None,
        };
        if let Some(wanted) = wanted {
            // The old pod has to be down before the new one takes its place.
            let in_the_way = replaced && wanted == PodState::Running;
            self.apply(Event::Wanted(if in_the_way {
                PodState::Stopped
            } else {
                wanted
            }));
        }
        self.life.is_hasty = self.hand.is_hasty();
        if self.life.wanted != before && self.life.operation.is_some() {
            self.world.cancel();
        }
        self.learn_configs(desired.configs);
        if self.programs.as_ref() != Some(&desired.programs) {
            self.programs = Some(desired.programs);
            self.apply(Event::Outdated(self.world.outdated()));
        }
    }

    /// Puts another pod in service as soon as no unit of the one before is left.
    fn change_spec(&mut self, desired: &DesiredRelease) {
        let Ok(next) = &desired.pod else { return };
        if self.spec.as_ref() == Some(next) || (self.spec.is_some() && !self.life.is_down()) {
            return;
        }
        // A start is numbered once, also when a pod in between did not have the unit: what an earlier
        // pod's unit has left is told apart by it.
        self.memory.units = self.remember().units;
        let (wanted, removed) = (self.life.wanted, self.life.removed);
        let collected = self.life.collected;
        self.life = Life::new(next, wanted);
        self.life.removed = removed;
        self.life.collected = collected;
        self.hand.begin_anew();
        for unit in &mut self.life.units {
            let before = self.memory.units.get(&unit.name);
            unit.start_count = before.map_or(0, |unit| unit.start_count);
            unit.counted_from = unit.start_count;
        }
        self.spec = Some(Arc::clone(next));
        self.ask_for_look();
    }

    /// What the configs are known by now: where that has changed, their users are told.
    fn learn_marks(&mut self, configs: BTreeMap<VolumeName, String>) {
        let changed = configs
            .iter()
            .filter(|(name, checksum)| {
                self.configs
                    .get(*name)
                    .is_some_and(|known| known != *checksum)
            })
            .map(|(name, _)| name.clone())
            .collect();
        // A config that cannot be read now keeps the checksum that the units know.
        self.configs.extend(configs);
        self.apply(Event::Configs(changed));
    }

    fn learn(&mut self, wake: Wake) {
        match wake {
            Wake::Desired => {
                self.learn_desired();
                // What a person wanted of a release that was away is forgotten; it may lie there still.
                self.ask_for_requests();
            }
            Wake::Surroundings => self.apply(Event::Unheld),
            Wake::OperationDone(outcome) => self.operation_done(outcome),
            Wake::OperationLost => self.operation_lost(),
            Wake::ProbeDone {
                unit,
                kind,
                start_count,
                outcome,
            } => {
                self.apply(Event::ProbeDone {
                    unit,
                    kind,
                    start_count,
                    outcome,
                });
            }
            Wake::Ended {
                unit,
                start_count,
                end,
            } => {
                self.unit_ended(unit, start_count, end);
                // The pod may wait for this to be replaced by another.
                self.learn_desired();
            }
            Wake::Line => {
                let line = self.lines.borrow_and_update().clone();
                self.progress = self.life.operation.as_ref().map(|_| line);
            }
            Wake::Seen => self.take_seen(),
            Wake::Revealed(outcome) => self.revealed(outcome.map(|outcome| *outcome)),
            Wake::RevealAgain => self.reveal_again(),
            Wake::Action => self.ask_for_requests(),
            Wake::Asked(action) => self.take_request(action.as_deref()),
            Wake::Look => self.doubt_after(wake::LOOK_AFTER_MS),
            Wake::Timer | Wake::Shutdown => {}
        }
    }

    fn apply(&mut self, event: Event) {
        if let Some(spec) = &self.spec {
            self.life.apply(spec, event, self.clock.now_ms());
        } else if let Event::Wanted(wanted) = event {
            self.life.wanted = wanted;
        }
    }

    fn unit_ended(&mut self, unit: UnitName, start_count: u32, end: End) {
        self.apply(Event::Exited {
            unit,
            start_count,
            code: end.code,
            why: end.why,
            is_elsewhere: end.is_elsewhere,
        });
        if end.is_elsewhere {
            self.ask_for_look();
        }
    }

    fn is_over(&self) -> bool {
        // What is just being taken out of its place would be found by nobody. One that has waited for another to
        // leave, and finds nothing to do, came too late and leaves as well.
        let is_asked = self.looks_for_requests > 0;
        if self.orders.leaves && !is_asked && self.hand.has_left(&self.life) {
            return true;
        }
        let (is_gone, is_foreign) = match &*self.orders.desired.borrow() {
            Some(desired) => (false, desired.program.is_some()),
            None => (true, false),
        };
        // A program that has taken the place of the pod is driven by another driver.
        let is_left = is_foreign && self.life.operation.is_none();
        let is_nothing = is_gone && (self.life.removed || self.spec.is_none());
        (is_left || is_nothing) && self.life.is_down()
    }

    /// The daemon ends: an operation that is under way is finished, units stay as they are. A request that
    /// is just being taken out of its place is kept for the next driver.
    async fn end(mut self) {
        while self.life.operation.is_some() || self.looks_for_requests > 0 {
            let Some(wake) = self.inbox.recv().await else {
                break;
            };
            match wake {
                Wake::OperationDone(outcome) => self.operation_done(outcome),
                Wake::OperationLost => self.operation_lost(),
                Wake::Asked(action) => self.take_request(action.as_deref()),
                _ => {}
            }
        }
        self.tell().await;
        self.tasks.abort_all();
    }
}
