//! The drivers of a host, one for each release, and what they are told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hostfiles::HostHome;
use names::ReleaseId;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::Settings;
use crate::driver::{Driver, Orders};
use crate::foreign::Foreign;
use crate::hands::{Hands, Surroundings};
use crate::home::Home;
use crate::looks;
use crate::open_files::OpenFiles;
use crate::publish::Routes;
use crate::scan::{Desired, DesiredRelease};
use crate::secrets::Secrets;
use crate::steps::{Parting, Programs, StepRunner};
use crate::system::Clock;
use crate::watch::Changes;

/// The way to one driver.
struct Order {
    desired: watch::Sender<Option<DesiredRelease>>,
    look: Arc<Notify>,
    action: Arc<Notify>,
}

/// All drivers of one host.
pub(super) struct Fleet {
    home: HostHome,
    owner_is_root: bool,
    open_files: OpenFiles,
    verb_max: Duration,
    programs: Programs,
    around: Surroundings,
    routes: Routes,
    clock: Clock,
    orders: BTreeMap<ReleaseId, Order>,
    surroundings: watch::Sender<u64>,
    shutdown: watch::Sender<bool>,
    parting: Parting,
    tasks: JoinSet<ReleaseId>,
}

impl Fleet {
    pub(super) fn new(
        home: &Home,
        settings: &Settings,
        around: Surroundings,
        routes: Routes,
    ) -> Self {
        // The running program, even when its file was replaced by an upgrade.
        let programs = Programs::new(
            Some(&home.files),
            &settings.executable,
            PathBuf::from("/proc/self/exe"),
            &settings.path,
        );
        let (owner_is_root, clock) = (home.owner == 0, Clock::start());
        if let Some(looks) = around.looks.clone() {
            let (known, found) = (around.clone(), programs.clone());
            let host = looks::Host {
                kinds: around.kinds.clone(),
                facts: Arc::new(move || known.facts(owner_is_root, &found)),
                eyes: Arc::new(looks::eyes(
                    &home.files,
                    &programs,
                    owner_is_root,
                    &settings.open_files,
                )),
                clock,
                log: around.log,
            };
            tokio::spawn(looks.run(host));
        }
        Self {
            home: home.files.clone(),
            owner_is_root,
            open_files: settings.open_files.clone(),
            verb_max: settings.verb_max,
            programs,
            around,
            routes,
            clock,
            orders: BTreeMap::new(),
            surroundings: watch::Sender::new(0),
            shutdown: watch::Sender::new(false),
            parting: Parting::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Takes over the whole desired state: a release that is not in it should not exist.
    pub(super) fn take(&mut self, desired: Desired) {
        let known: Vec<ReleaseId> = self.orders.keys().cloned().collect();
        for id in known
            .iter()
            .filter(|id| !desired.releases.contains_key(*id))
        {
            self.take_release(id, None);
        }
        for (id, release) in desired.releases {
            self.take_release(&id, Some(release));
        }
    }

    /// Tells the driver of one release what it should be, and starts one that is missing.
    pub(super) fn take_release(&mut self, id: &ReleaseId, desired: Option<DesiredRelease>) {
        match self.orders.get(id) {
            Some(order) => {
                order.desired.send_if_modified(|known| {
                    let is_news = *known != desired;
                    *known = desired;
                    is_news
                });
            }
            None if desired.is_some() => self.start(id.clone(), desired),
            None => {}
        }
    }

    fn start(&mut self, id: ReleaseId, desired: Option<DesiredRelease>) {
        let is_foreign = desired
            .as_ref()
            .is_some_and(|desired| desired.program.is_some());
        let order = Order {
            desired: watch::Sender::new(desired),
            look: Arc::default(),
            action: Arc::default(),
        };
        let orders = Orders {
            desired: order.desired.subscribe(),
            look: Arc::clone(&order.look),
            action: Arc::clone(&order.action),
            leaves: false,
            surroundings: self.surroundings.subscribe(),
            shutdown: self.shutdown.subscribe(),
        };
        let runner = StepRunner::new(
            id.clone(),
            self.home.release(&id),
            self.programs.clone(),
            self.owner_is_root,
            self.open_files.clone(),
        );
        let runner = runner
            .with_secrets(Secrets::of(&self.home))
            .with_parting(self.parting.clone());
        let hands = Hands::new(runner, self.around.clone(), self.routes.clone());
        self.orders.insert(id.clone(), order);
        let (clock, verb_max) = (self.clock, self.verb_max);
        self.tasks.spawn(async move {
            if is_foreign {
                Foreign::new(hands, orders, clock, verb_max).run().await;
            } else {
                Driver::new(id.clone(), hands, orders, clock).run().await;
            }
            id
        });
    }

    /// Has the files looked at that only the daemon writes and that have changed.
    pub(super) async fn look(&self, changes: &Changes) {
        for id in &changes.statuses {
            if let Some(order) = self.orders.get(id) {
                order.look.notify_one();
            }
        }
        // Where nobody can say what has changed, a request may have come for anyone.
        let asked = |id: &ReleaseId| changes.everything || changes.actions.contains(id);
        for (_, order) in self.orders.iter().filter(|(id, _)| asked(id)) {
            order.action.notify_one();
        }
        if changes.routes {
            self.routes.look().await;
        }
    }

    /// Plugins, grants or the address have changed.
    pub(super) fn surroundings_changed(&self) {
        self.surroundings
            .send_modify(|revision| *revision = revision.wrapping_add(1));
    }

    /// Waits until a driver has ended because its release is gone. It may be there again, so everything
    /// should be read once more.
    pub(super) async fn next_end(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(id)) => {
                self.orders.remove(&id);
            }
            // A driver that was aborted has no release any more; one that is left out is started anew.
            Some(Err(_)) => self
                .orders
                .retain(|_, order| order.desired.receiver_count() > 0),
            None => std::future::pending().await,
        }
    }

    /// Asks all drivers to end and waits for them.
    pub(super) async fn end(&mut self) {
        self.shutdown.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
    /// Leaves the operations to themselves that are still under way.
    pub(super) fn leave(self) {
        self.parting.leave();
    }
}
