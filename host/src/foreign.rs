//! Drives one foreign pod: a program of its own that obeys the Pod API (`runtime: executable`).
//!
//! ```text
//!        ┌───────────── wait for a wake ◀──────────────┐
//!        ▼                                              │
//!   learn (pod.state, .pod.status, pod.action) ─▶ plan ─▶ call a verb ─▶ routes, memory
//! ```
//!
//! The program is one opaque unit: what becomes of it is its own affair, and `.pod.status` is its own file.
//! `plan` decides, `verb` calls, this task carries messages between the two; one verb at a time.

mod explain;
mod life;
mod memory;
mod plan;
mod program;
mod status;
mod tell;
mod verb;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use hostfiles::PortMapping;
use names::{PodState, VolumeName};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::driver::Orders;
use crate::hands::{Hands, wait_for_end};
use crate::process::ProcessId;
use crate::scan::DesiredRelease;
use crate::step;
use crate::system::Clock;

use life::{Call, Cause, Life};
use memory::Memory;
use plan::{plan, takes_down};
pub(crate) use program::program_of;
pub use program::{become_program, is_program};
use status::Seen;
pub(crate) use status::is_ready;

/// After so long without a wake the status is read again: a change may not have been noticed.
const LOOK_AGAIN_MS: u64 = 60_000;
/// Wakes that wait to be taken: one verb and few processes are waited for at a time.
const INBOX_MAX: usize = 16;

/// Why the driver looks at its pod again.
enum Wake {
    /// The directory of the release has changed.
    Desired,
    /// There may be a request by hand.
    Action,
    /// The program has written its status, or should have.
    Look,
    /// The verb that was under way has ended.
    Ended {
        /// Why it failed, if it did.
        how: Result<(), String>,
    },
    /// The daemon ends.
    Shutdown,
}

/// The task of one foreign pod.
pub struct Foreign {
    hands: Hands,
    orders: Orders,
    clock: Clock,
    /// How long a verb may take.
    verb_max: Duration,
    life: Life,
    /// The configs as the program knows them.
    configs: BTreeMap<VolumeName, String>,
    boot: String,
    sender: mpsc::Sender<Wake>,
    inbox: mpsc::Receiver<Wake>,
    tasks: JoinSet<()>,
    /// The process whose end is waited for.
    watched: Option<ProcessId>,
    /// What was told of the ports last.
    routed: Option<Vec<PortMapping>>,
    kept: Option<Memory>,
    /// What `ps` was told last of what is wrong.
    problem: Option<Option<String>>,
    /// What was said last of what is wrong.
    told: Option<String>,
}

impl Foreign {
    /// A driver that has not begun.
    #[must_use]
    pub fn new(hands: Hands, orders: Orders, clock: Clock, verb_max: Duration) -> Self {
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        Self {
            hands,
            orders,
            clock,
            verb_max,
            life: Life::default(),
            configs: BTreeMap::new(),
            boot: String::new(),
            sender,
            inbox,
            tasks: JoinSet::new(),
            watched: None,
            routed: None,
            kept: None,
            problem: None,
            told: None,
        }
    }

    /// Drives the pod until the daemon ends, or until there is no such program any more.
    pub async fn run(mut self) {
        let mut shutdown = self.orders.shutdown.clone();
        tokio::select! {
            // Waiting for the lock of the release may last: nothing is begun yet.
            _ = shutdown.wait_for(|ends| *ends) => return,
            () = self.hands.hold() => {}
        }
        self.end_strays().await;
        self.remember().await;
        self.look().await;
        self.learn_desired().await;
        self.take_requests().await;
        loop {
            let now = self.clock.now_ms();
            let plan = plan(&self.life, now);
            let begun = plan.call.filter(|_| !self.is_gone());
            if let Some(call) = &begun {
                self.life.begin(call.clone());
            }
            self.tell(now).await;
            if let Some(call) = begun {
                self.begin(call).await;
            }
            if self.is_gone() && self.life.busy.is_none() {
                return self.leave().await;
            }
            self.cancel_in_vain();
            match self.next_wake(plan.wake_at).await {
                Wake::Shutdown => return self.end().await,
                wake => self.learn(wake).await,
            }
        }
    }

    /// What the last driver has left.
    async fn remember(&mut self) {
        let run_dir = self.hands.release().run_dir();
        let memory = blocking(move || Memory::read(&run_dir)).await;
        let memory = memory.unwrap_or_default();
        (self.life.last, self.configs, self.boot) = (memory.last, memory.configs, memory.boot);
    }

    /// Ends what is left of a verb whose runner was killed together with the daemon: no runner lives any
    /// more, or the lock would be held.
    async fn end_strays(&self) {
        let run_dir = self.hands.release().run_dir();
        blocking(move || step::end_strays(&run_dir)).await;
    }

    async fn learn(&mut self, wake: Wake) {
        match wake {
            Wake::Desired => {
                self.learn_desired().await;
                // The program may be one that can be called now.
                self.take_requests().await;
            }
            Wake::Action => self.take_requests().await,
            Wake::Look | Wake::Shutdown => self.look().await,
            Wake::Ended { how } => {
                self.look().await;
                self.life.end(how, self.clock.now_ms());
                self.learn_desired().await;
                self.take_requests().await;
            }
        }
    }

    /// True when the release is not there any more, or another kind of pod is in its place.
    fn is_gone(&self) -> bool {
        let desired = self.orders.desired.borrow();
        desired
            .as_ref()
            .is_none_or(|desired| desired.program.is_none())
    }

    /// Takes over what the directory of the release says now.
    async fn learn_desired(&mut self) {
        let desired = self.orders.desired.borrow_and_update().clone();
        let Some(desired) = desired else { return };
        self.life.is_blocked = desired.program.as_ref().is_some_and(Result::is_err);
        self.life.problem = desired.problem();
        self.say(desired.problem()).await;
        // What cannot be read changes nothing.
        if let Ok(wanted) = desired.state {
            self.life.want(wanted);
        }
        self.learn_configs(&desired);
    }

    /// Breaks a verb off that begins what is not wanted any more.
    fn cancel_in_vain(&self) {
        let is_wanted = self.life.wanted == Some(PodState::Running);
        let busy = self.life.busy.as_ref();
        if busy.is_some_and(|call| call.cause == Cause::Wanted && !is_wanted) {
            self.hands.runner().told().cancel();
        }
    }

    fn learn_configs(&mut self, desired: &DesiredRelease) {
        let known = &self.configs;
        let is_other = |name: &VolumeName, checksum: &String| {
            known.get(name).is_some_and(|known| known != checksum)
        };
        let changed: Vec<_> = desired
            .configs
            .iter()
            .filter(|(name, checksum)| is_other(name, checksum))
            .map(|(name, _)| name.clone())
            .collect();
        self.life.configs_changed(changed);
        self.configs.extend(desired.configs.clone());
    }

    /// Reads what the program says of itself, and waits for the end of its process.
    async fn look(&mut self) {
        let now = self.clock.now_ms();
        let path = self.hands.release().status();
        let Some(mut seen) = blocking(move || Seen::read(&path, now / 1_000)).await else {
            return;
        };
        let is_own = |process: ProcessId| process.pid == std::process::id();
        if seen.process.is_some_and(is_own) {
            // The daemon has written this when something else lay in the place of the program.
            seen = Seen::default();
        }
        self.say(seen.problem.clone()).await;
        let process = seen.process;
        self.life.see(seen, now);
        if let Some(process) = process.filter(|process| self.watched != Some(*process)) {
            self.watched = Some(process);
            self.spawn(async move {
                wait_for_end(process).await;
                Wake::Look
            });
        }
    }

    /// Takes what lies there, if it can begin at once. Else it goes on lying there: whoever wants to place another
    /// one is told, and a daemon that ends loses nothing.
    async fn take_requests(&mut self) {
        if !self.life.takes_requests() {
            return;
        }
        let hands = self.hands.clone();
        let taken = blocking(move || hands.take_request()).await;
        let Some(action) = taken.flatten() else {
            return;
        };
        self.life.asked = Some(Call {
            verb: action.verb,
            words: action.words,
            cause: Cause::Asked,
        });
    }

    async fn begin(&mut self, call: Call) {
        let release = self.hands.release().clone();
        blocking(move || {
            // Without them nothing is remembered and no output kept; the verb is called all the same.
            let _ = std::fs::create_dir_all(release.run_dir());
            let _ = std::fs::create_dir_all(release.log_dir());
        })
        .await;
        if takes_down(call.verb) {
            self.hands.routes().written().await;
        }
        self.hands.runner().told().begin();
        let ended = verb::call(self.hands.clone(), call, self.verb_max);
        self.spawn(async move { Wake::Ended { how: ended.await } });
    }

    /// Runs work beside the driver; its result comes back as a wake.
    fn spawn(&mut self, work: impl Future<Output = Wake> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            // The driver that does not listen any more does not want to know.
            let _ = sender.send(work.await).await;
        });
    }

    async fn next_wake(&mut self, wake_at: Option<u64>) -> Wake {
        let beat = self.clock.now_ms().saturating_add(LOOK_AGAIN_MS);
        let timer = sleep_until(self.clock.instant(wake_at.map_or(beat, |at| at.min(beat))));
        let orders = &mut self.orders;
        tokio::select! {
            biased;
            changed = orders.shutdown.changed() => {
                // The sender is gone only when the daemon is.
                if changed.is_err() || *orders.shutdown.borrow_and_update() { Wake::Shutdown } else { Wake::Look }
            }
            Some(wake) = self.inbox.recv() => wake,
            Ok(()) = orders.desired.changed() => Wake::Desired,
            () = orders.action.notified() => Wake::Action,
            () = orders.look.notified() => Wake::Look,
            () = timer => Wake::Look,
        }
    }

    /// The program is gone, or another kind of pod is in its place.
    async fn leave(mut self) {
        if self.life.seen.look == status::Look::Up {
            let pid = self.life.seen.process.map(|process| process.pid);
            let pid = pid.map_or_else(String::new, |pid| format!(": its process is {pid}"));
            self.note(format!(
                "this pod was taken away while it ran; its program cannot be told to stop{pid}"
            ))
            .await;
        }
        // Nothing is wanted and nothing is wrong any more.
        self.life = Life::default();
        self.tell(self.clock.now_ms()).await;
        let run_dir = self.hands.release().run_dir();
        blocking(move || Memory::remove(&run_dir)).await;
        self.tasks.abort_all();
    }

    /// The daemon ends: a verb that is under way is finished, the pod stays as it is.
    async fn end(mut self) {
        while self.life.busy.is_some() {
            match self.inbox.recv().await {
                Some(Wake::Ended { how }) => self.life.end(how, self.clock.now_ms()),
                Some(_) => {}
                None => break,
            }
        }
        self.tell(self.clock.now_ms()).await;
        self.tasks.abort_all();
    }
}

/// Work on files, beside the threads that must not wait for a disk. None when the daemon ends.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
