//! The task that looks at all pods of one kind: it waits for what its agenda says, and hands out what was
//! seen. A plugin that fails costs a line in the status of its pods and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use names::ReleaseId;
use podspec::CompiledPod;
use simplenetes_plugin::{CallError, View};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::agenda::{Agenda, Scope};
use super::faults::Faults;
use super::round::{self, Eyes, Patient, Round, is_retry};
use super::{Looks, Member, Seen};
use crate::log::{Log, one_line};
use crate::plugins::Kinds;
use crate::runtime::Runtime;
use crate::system::Clock;

/// What plugins may know about the host, as it is now.
pub(crate) type Facts = dyn Fn() -> BTreeMap<String, String> + Send + Sync;
/// Whoever runs the looks of this kind.
pub(crate) type EyesOf = dyn Fn(&str) -> Arc<dyn Eyes> + Send + Sync;

/// What all kinds share.
#[derive(Clone)]
pub(crate) struct Host {
    /// The kinds of pods that can be run now.
    pub(crate) kinds: watch::Receiver<Arc<Kinds>>,
    /// What plugins may know about the host.
    pub(crate) facts: Arc<Facts>,
    /// Whoever runs looks of a kind.
    pub(crate) eyes: Arc<EyesOf>,
    /// The clock.
    pub(crate) clock: Clock,
    /// Where faults are told.
    pub(crate) log: Log,
}

/// The task of one kind.
pub(super) struct OfKind {
    kind: String,
    looks: Looks,
    host: Host,
    eyes: Arc<dyn Eyes>,
    agenda: Agenda,
    faults: Faults,
    /// Who answers for the kind, to notice that it is another one.
    runtime: Option<Arc<dyn Runtime>>,
    /// The pods as they were last asked about, to notice that one is another.
    specs: BTreeMap<ReleaseId, Arc<CompiledPod>>,
    /// True when the plugin answered `retry` about several pods in the last round.
    has_retried: bool,
    /// Since when looks fail.
    missing_since_ms: Option<u64>,
}

impl OfKind {
    pub(super) fn new(kind: String, looks: Looks, host: Host) -> Self {
        Self {
            eyes: (host.eyes)(&kind),
            kind,
            looks,
            host,
            agenda: Agenda::default(),
            faults: Faults::default(),
            runtime: None,
            specs: BTreeMap::new(),
            has_retried: false,
            missing_since_ms: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut news = self.looks.news();
        let mut kinds = self.host.kinds.clone();
        news.mark_changed();
        kinds.mark_changed();
        loop {
            let due = self.due();
            let clock = self.host.clock;
            tokio::select! {
                biased;
                changed = kinds.changed() => match changed {
                    Ok(()) => self.learn_plugin(&kinds.borrow_and_update().clone()),
                    // The daemon ends.
                    Err(_) => return,
                },
                Ok(()) = news.changed() => {
                    let changed = self.looks.take_changed(&self.kind);
                    self.agenda.changed(changed, clock.now_ms());
                }
                () = sleep_until(clock.instant(due.unwrap_or_default())), if due.is_some() => {
                    self.look().await;
                }
            }
        }
    }

    /// When to look next; none while nobody answers for the kind.
    fn due(&self) -> Option<u64> {
        self.runtime.as_ref()?;
        self.agenda.due(self.faults.next_ms())
    }

    fn learn_plugin(&mut self, kinds: &Kinds) {
        let runtime = kinds.runtime(&self.kind).ok();
        let is_same = match (&self.runtime, &runtime) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        if !is_same {
            self.runtime = runtime;
            self.faults = Faults::default();
            self.has_retried = false;
            self.agenda.replaced(self.host.clock.now_ms());
        }
    }

    async fn look(&mut self) {
        let Some(runtime) = self.runtime.clone() else {
            return;
        };
        let began_ms = self.host.clock.now_ms();
        let scope = self.agenda.begin();
        let members = self.looks.members(&self.kind);
        let patients = self.patients(&members, &scope, began_ms).await;
        let ids: Vec<ReleaseId> = patients.iter().map(|one| one.id.clone()).collect();
        let host = View {
            now_ms: began_ms,
            facts: (self.host.facts)(),
            ..View::default()
        };
        let round = if patients.is_empty() {
            Round::default()
        } else {
            round::run(runtime, &*self.eyes, host, patients, self.has_retried).await
        };
        self.has_retried = round.has_retried;
        let now_ms = self.host.clock.now_ms();
        self.agenda
            .ended(&scope, round.wants_looks, round.trouble.is_none(), now_ms);
        self.tell(&members, &ids, round, began_ms);
    }

    /// Those in the scope, and those that were left out for long enough.
    async fn patients(
        &mut self,
        members: &BTreeMap<ReleaseId, Member>,
        scope: &Scope,
        now_ms: u64,
    ) -> Vec<Patient> {
        for (id, member) in members {
            let before = self.specs.insert(id.clone(), Arc::clone(&member.spec));
            if before.is_some_and(|before| before != member.spec) {
                self.faults.forget(id);
            }
        }
        let faults = &mut self.faults;
        self.specs.retain(|id, _| {
            members.contains_key(id) || {
                faults.forget(id);
                false
            }
        });
        let is_asked = |id: &ReleaseId| match scope {
            _ if self.faults.is_aside(id, now_ms) => false,
            Scope::All => true,
            Scope::Only(changed) => changed.contains(id) || self.faults.is_suspect(id),
        };
        let asked = members.iter().filter(|(id, _)| is_asked(id));
        let asked: Vec<(ReleaseId, Member, bool)> = asked
            .map(|(id, member)| (id.clone(), member.clone(), self.faults.is_suspect(id)))
            .collect();
        let read = tokio::task::spawn_blocking(move || asked.into_iter().map(patient).collect());
        // The task only ends without a result when the daemon is being torn down.
        read.await.unwrap_or_default()
    }

    fn tell(
        &mut self,
        members: &BTreeMap<ReleaseId, Member>,
        asked: &[ReleaseId],
        mut round: Round,
        now_ms: u64,
    ) {
        let missing = self.missing(round.trouble.take(), now_ms);
        let guilty: BTreeMap<_, _> = round.guilty.into_iter().collect();
        for id in asked {
            let Some(member) = members.get(id) else {
                continue;
            };
            let seen = if let Some(error) = guilty.get(id) {
                troubled(member, self.set_aside(id, error, now_ms))
            } else if let Some(seen) = round.seen.remove(id) {
                if self.faults.forget(id) {
                    self.host
                        .log
                        .info(format_args!("{id}: its plugin can be asked about it again"));
                }
                if let Some(kept) = &seen.kept {
                    self.looks.keep(id, kept);
                }
                seen
            } else if let Some(missing) = &missing {
                troubled(member, missing.clone())
            } else {
                continue;
            };
            member.seen.send_if_modified(|known| {
                let is_news = seen.is_news_to(known);
                *known = seen;
                is_news
            });
        }
    }

    /// Leaves out a pod with which alone the plugin fails. Gives the line for people.
    fn set_aside(&mut self, id: &ReleaseId, error: &CallError, now_ms: u64) -> String {
        let words = last_words(&error.log);
        if !is_retry(error) {
            let line = self.faults.set_aside(id, &one_line(error), now_ms);
            self.host.log.error(format_args!("{id}: {line}{words}"));
            return line;
        }
        let is_known = self.faults.is_suspect(id);
        let line = self.faults.leave_out(id, &one_line(error), now_ms);
        if !is_known {
            self.host.log.warn(format_args!("{id}: {line}{words}"));
        }
        line
    }

    /// Why there is no look, with the time since when; said once in the log.
    fn missing(&mut self, trouble: Option<String>, now_ms: u64) -> Option<String> {
        let Some(trouble) = trouble else {
            if self.missing_since_ms.take().is_some() {
                self.host
                    .log
                    .info(format_args!("{} pods are looked at again", self.kind));
            }
            return None;
        };
        if self.missing_since_ms.is_none() {
            let kind = &self.kind;
            self.host
                .log
                .warn(format_args!("{kind} pods cannot be looked at: {trouble}"));
        }
        let since = *self.missing_since_ms.get_or_insert(now_ms);
        let since = i64::try_from(since / 1_000).unwrap_or_default();
        let since = Timestamp::from_second(since).unwrap_or_default();
        Some(format!(
            "the look of its plugin is missing since {since}: {trouble}"
        ))
    }
}

fn patient((id, member, is_suspect): (ReleaseId, Member, bool)) -> Patient {
    Patient {
        units: member.units.known(&member.spec),
        id,
        spec: member.spec,
        state: member.state,
        is_suspect,
    }
}

/// What was seen before stands, as far as people are told.
fn troubled(member: &Member, trouble: String) -> Seen {
    Seen {
        message: member.seen.borrow().message.clone(),
        trouble: Some(trouble),
        ..Seen::default()
    }
}

/// What the plugin logged before it failed, for the daemon's log.
fn last_words(log: &[String]) -> String {
    if log.is_empty() {
        return String::new();
    }
    format!(" ({})", log.join("; "))
}
