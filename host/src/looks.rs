//! Looks: once a minute and after every operation the plugin of a kind is asked how all pods of that kind
//! are, and the drivers are told what it says.
//!
//! ```text
//! drivers ──look──▶ Looks ──▶ one task for each kind: agenda ─▶ round (observe, looks, assess) ─┐
//!    ▲                                                                                         │
//!    └────────────── Seen (exit statuses, wake-at, state to keep, messages, troubles) ─────────┘
//! ```
//!
//! Looks are for truth, never for noticing: what a unit's pidfd shows stands, whatever a plugin says, and a
//! plugin that fails touches no pod. Only the daemon looks; `keep` does not.

mod agenda;
mod faults;
mod halve;
mod kind;
mod round;
mod runner;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use names::ReleaseId;
use podspec::CompiledPod;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use kind::Host;
use kind::OfKind;
pub(crate) use runner::eyes;
pub use seen::{Kept, KnownUnit, Seen};

/// What the shims know of the units of one release.
pub trait Units: Send + Sync {
    /// Reads it, for a pod in service: may block for a moment.
    fn known(&self, spec: &CompiledPod) -> Vec<KnownUnit>;
}

/// One release of which the plugin is asked.
#[derive(Clone)]
pub struct Member {
    /// The pod in service.
    pub spec: Arc<CompiledPod>,
    /// What the plugin has had kept for it.
    pub state: Vec<u8>,
    /// What is known of its units.
    pub units: Arc<dyn Units>,
    /// Where its driver hears what was seen. A release whose driver does not listen any more is forgotten.
    pub seen: Arc<watch::Sender<Seen>>,
}

/// The way to the looks of a host, for drivers. Cheap to clone.
#[derive(Clone)]
pub struct Looks(Arc<Shared>);

struct Shared {
    registry: Mutex<Registry>,
    /// Changes when the registry has.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct Registry {
    members: BTreeMap<ReleaseId, Member>,
    /// By kind: what nobody has looked at since it changed.
    changed: BTreeMap<String, BTreeSet<ReleaseId>>,
}

impl Looks {
    /// Nobody looks yet, see `run`.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            registry: Mutex::default(),
            news: watch::Sender::new(0),
        }))
    }

    /// Wants the release looked at, soon, because it is new or something was done to it.
    pub fn look(&self, id: &ReleaseId, member: Member) {
        let mut registry = self.registry();
        let changed = registry.changed.entry(member.spec.runtime.clone());
        changed.or_default().insert(id.clone());
        registry.members.insert(id.clone(), member);
        drop(registry);
        self.0
            .news
            .send_modify(|revision| *revision = revision.wrapping_add(1));
    }

    /// Looks until it is dropped: one task for each kind that has pods.
    pub(crate) async fn run(self, host: Host) {
        let mut news = self.0.news.subscribe();
        let mut kinds = BTreeSet::new();
        let mut tasks = JoinSet::new();
        loop {
            let present: Vec<String> = self.registry().changed.keys().cloned().collect();
            for kind in present {
                if kinds.insert(kind.clone()) {
                    tasks.spawn(OfKind::new(kind, self.clone(), host.clone()).run());
                }
            }
            // The sender is part of what is looked at.
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        let registry = self.0.registry.lock();
        registry.unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    /// What has changed of this kind since this was asked last.
    fn take_changed(&self, kind: &str) -> BTreeSet<ReleaseId> {
        let mut registry = self.registry();
        let changed = registry.changed.get_mut(kind);
        changed.map(std::mem::take).unwrap_or_default()
    }

    /// All releases of the kind that are still driven.
    fn members(&self, kind: &str) -> BTreeMap<ReleaseId, Member> {
        let mut registry = self.registry();
        let is_driven = |member: &Member| member.seen.receiver_count() > 0;
        registry.members.retain(|_, member| is_driven(member));
        let of_kind = registry
            .members
            .iter()
            .filter(|(_, member)| member.spec.runtime == kind);
        of_kind
            .map(|(id, member)| (id.clone(), member.clone()))
            .collect()
    }

    /// The plugin wants other state kept, unless it was given newer one meanwhile.
    fn keep(&self, id: &ReleaseId, kept: &Kept) {
        if let Some(member) = self.registry().members.get_mut(id)
            && member.state == kept.before
        {
            member.state.clone_from(&kept.after);
        }
    }
}

impl Default for Looks {
    fn default() -> Self {
        Self::new()
    }
}
