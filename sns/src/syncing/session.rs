//! One sync of all hosts: all locks, in the order of host names, then all checks, all plans, all stages; and
//! only when every host has what it needs, the changes. So a refusal or a full disk on one host changes none. A host
//! that is out of reach is left behind, and the others go on.

use std::sync::mpsc;
use std::thread;

use hostfiles::CommitChain;
use simplenetes_sync::Options;
use simplenetes_sync::chain::{Relation, relate};
use simplenetes_sync::wire::Seen;

use super::failure::Failure;
use super::party::{Confirming, Party};
use super::{Became, HostOutcome, Source, Target};
use crate::command_error::{CommandError, Kind};
use crate::project::Cluster;
use crate::remote::Remotes;
use crate::ui::Ui;

/// What is sent in less than this needs no progress, in bytes.
const PROGRESS_BYTES_MIN: u64 = 1024 * 1024;

/// What the operator decided.
pub(crate) struct Request {
    /// Take a project that is behind the hosts or has branched.
    pub(crate) force: bool,
    /// What may change.
    pub(crate) options: Options,
}

/// Everything that a sync works with.
pub(crate) struct Session<'a> {
    /// The project.
    pub(crate) cluster: &'a Cluster<'a>,
    /// The way to the hosts.
    pub(crate) remotes: &'a Remotes,
    /// What the hosts should have.
    pub(crate) source: &'a Source,
    /// Where progress is told; nowhere if it is not wanted.
    pub(crate) ui: Option<&'a Ui>,
}

/// Hosts that are still in it.
type Parties<'s> = Vec<Party<'s>>;

impl<'a> Session<'a> {
    /// What a sync would do; nothing is locked or changed. Also what it would be refused for.
    pub(crate) fn diff(
        &self,
        options: &Options,
    ) -> Result<(Vec<HostOutcome>, Vec<CommandError>), CommandError> {
        let mut outcomes = Vec::new();
        let looked = self.connect(|party| party.look(&self.cluster.id));
        let parties = stay(looked, &mut outcomes)?;
        let mut refusals = Vec::new();
        for mut party in parties {
            refusals.extend(self.check(&party, false).err());
            party.plan(self.source, options)?;
            outcomes.push(outcome(party, Became::Planned));
        }
        Ok((sorted(outcomes), refusals))
    }

    /// Syncs all hosts. An error means that no host was changed; after that each host has its own outcome.
    pub(crate) fn sync(&self, request: &Request) -> Result<Vec<HostOutcome>, CommandError> {
        let outcomes = self.sync_all(request);
        // Refusals say so by their kind. One that was interrupted earlier may have been finished all the same.
        outcomes.map_err(|error| match error.kind() {
            Kind::Files => error.hint("this sync changed nothing on any host"),
            _ => error,
        })
    }

    fn sync_all(&self, request: &Request) -> Result<Vec<HostOutcome>, CommandError> {
        let mut outcomes = Vec::new();
        let connected = self.connect(|_| Ok(()));
        let parties = stay(connected, &mut outcomes)?;
        let mut parties = self.lock(parties, &mut outcomes)?;
        for party in &mut parties {
            self.check(party, request.force)?;
            party.plan(self.source, &request.options)?;
        }
        let staged = self.stage(parties);
        let parties = stay(staged, &mut outcomes)?;
        outcomes.extend(self.change(parties, &request.options));
        Ok(sorted(outcomes))
    }

    /// Connects to all hosts at once, and begins with each.
    fn connect(
        &self,
        begin: impl Fn(&mut Party<'a>) -> Result<(), Failure> + Sync,
    ) -> Vec<(&'a Target, Result<Party<'a>, Failure>)> {
        let (remotes, environment) = (self.remotes, self.cluster.environment);
        let open = |target: &'a Target| {
            let mut party = Party::open(remotes, environment, target)?;
            begin(&mut party)?;
            Ok(party)
        };
        let opened = at_once(&self.source.targets, &open);
        self.source.targets.iter().zip(opened).collect()
    }

    /// Takes every lock, always in the same order, so that two operators never wait for each other.
    fn lock(
        &self,
        parties: Parties<'a>,
        outcomes: &mut Vec<HostOutcome>,
    ) -> Result<Parties<'a>, CommandError> {
        let mut locked = Vec::new();
        for mut party in parties {
            let target = party.target;
            let result = party.lock(self.source, &self.cluster.id);
            if let Some(note) = party.seen.as_ref().and_then(|seen| recovery(target, seen)) {
                self.note(&note);
            }
            locked.push((target, result.map(|()| party)));
        }
        stay(locked, outcomes)
    }

    /// Refuses a project that is behind the host or has branched, unless it is forced.
    fn check(&self, party: &Party<'_>, forced: bool) -> Result<(), CommandError> {
        let Some(seen) = &party.seen else {
            return Ok(());
        };
        let place = format!("host {}", party.target.host.name);
        let chain = match &seen.chain {
            Ok(chain) => CommitChain::new(chain.iter().cloned()).map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        match chain {
            Ok(chain) => match relate(&self.source.commits, &chain) {
                Relation::Branched(_) if self.source.is_shallow && !forced => {
                    Err(shallow().on(&place))
                }
                relation => relation.allow(forced).map_err(|refusal| {
                    CommandError::refused(refusal.to_string())
                        .on(&place)
                        .hint("force it with --force")
                }),
            },
            Err(_) if forced => Ok(()),
            Err(why) => Err(CommandError::refused(
                "cannot tell which commits the host was synced from",
            )
            .caused_by(why)
            .on(&place)
            .hint("treat the host as never synced with --force")),
        }
    }

    /// Stages on all hosts at once, and tells how it gets on.
    fn stage(&self, parties: Parties<'a>) -> Vec<(&'a Target, Result<Party<'a>, Failure>)> {
        let (sender, heard) = mpsc::channel::<(&str, u64, u64)>();
        let source = self.source;
        thread::scope(|scope| {
            let threads: Vec<_> = parties
                .into_iter()
                .map(|party| {
                    if !party.plan.is_empty() {
                        self.note(&format!("syncing host {} …", party.target.host.name));
                    }
                    let (target, sender) = (party.target, sender.clone());
                    let thread = scope.spawn(move || {
                        let name = target.host.name.as_str();
                        let staged = party.stage(source, &mut |done, total| {
                            // Nobody listens any more when all is over.
                            let _ = sender.send((name, done, total));
                        });
                        staged.map(|()| party)
                    });
                    (target, thread)
                })
                .collect();
            drop(sender);
            self.tell_progress(&heard);
            threads
                .into_iter()
                .map(|(target, thread)| {
                    let staged = thread.join();
                    (target, staged.unwrap_or_else(|_| Err(died(target))))
                })
                .collect()
        })
    }

    fn tell_progress(&self, heard: &mpsc::Receiver<(&str, u64, u64)>) {
        let mut told = std::collections::BTreeMap::new();
        for (name, done, total) in heard {
            let quarter = done * 4 / total.max(1);
            let is_news = total >= PROGRESS_BYTES_MIN && told.get(name) != Some(&quarter);
            if is_news {
                told.insert(name, quarter);
                self.note(&format!(
                    "host {name}: sent {} of {} MiB",
                    done.div_ceil(1024 * 1024),
                    total.div_ceil(1024 * 1024)
                ));
            }
        }
    }

    /// Applies on all hosts at once, then confirms on all hosts at once, over fresh connections.
    fn change(&self, parties: Parties<'a>, options: &Options) -> Vec<HostOutcome> {
        let source = self.source;
        let apply = |party: Party<'a>| {
            let applied = party.apply(source);
            let (target, confirmation) = (party.target, party.confirmation(source));
            // The connection of the change ends here: the confirmation must not need it.
            (target, outcome_of(party, applied), confirmation)
        };
        let done = at_once(parties, &apply);
        self.remotes.forget_connections();
        let confirming = Confirming {
            remotes: self.remotes,
            environment: self.cluster.environment,
            cluster: &self.cluster.id,
            source,
            options,
        };
        at_once(done, &|(target, mut outcome, confirmation)| {
            let waits = matches!(outcome.became, Became::Updated | Became::Unknown(_));
            if let Some(confirmation) = confirmation.filter(|_| waits) {
                outcome.became = confirming.became(target, &confirmation);
            }
            outcome
        })
    }

    fn note(&self, note: &str) {
        if let Some(ui) = self.ui {
            ui.note(note);
        }
    }
}

/// Keeps those that are in it; of those that are out of reach it tells.
fn stay<'a>(
    parties: Vec<(&'a Target, Result<Party<'a>, Failure>)>,
    outcomes: &mut Vec<HostOutcome>,
) -> Result<Parties<'a>, CommandError> {
    let mut staying = Vec::new();
    for (target, party) in parties {
        match party {
            Ok(party) => staying.push(party),
            Err(Failure::Away(error)) => outcomes.push(left_behind(target, error)),
            Err(Failure::No(error)) => return Err(error),
        }
    }
    Ok(staying)
}

/// Does something with each of them at the same time; what came of it, in their order.
pub(crate) fn at_once<I: Send, T: Send>(
    items: impl IntoIterator<Item = I>,
    act: &(impl Fn(I) -> T + Sync),
) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = items
            .into_iter()
            .map(|item| scope.spawn(move || act(item)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

/// What became of a sync that was interrupted before this one.
fn recovery(target: &Target, seen: &Seen) -> Option<String> {
    let name = &target.host.name;
    match seen.recovered.as_deref()? {
        "finished" => Some(format!("an interrupted sync of host {name} was finished")),
        "undone" => Some(format!("an interrupted sync of host {name} was undone")),
        "reverted" => Some(format!(
            "a sync of host {name} that nobody had confirmed was taken back"
        )),
        _ => None,
    }
}

fn outcome_of(party: Party<'_>, applied: Result<(), Failure>) -> HostOutcome {
    let became = match applied {
        Ok(()) if party.plan.is_empty() => Became::Unchanged,
        Ok(()) => Became::Updated,
        Err(Failure::No(error)) if error.kind() == Kind::Mixed => Became::Unfinished(error),
        Err(Failure::No(error)) => Became::Failed(error),
        // Whatever was to be written down is known to the host or not; nothing else was to change.
        Err(Failure::Away(error)) if party.plan.is_empty() => Became::Failed(error),
        Err(Failure::Away(error)) => Became::Unknown(error),
    };
    outcome(party, became)
}

fn outcome(party: Party<'_>, became: Became) -> HostOutcome {
    let (drift, reverted) = party
        .seen
        .map_or((None, None), |seen| (seen.drift, seen.reverted));
    HostOutcome {
        host: party.target.host.name.clone(),
        plan: party.plan,
        effects: party.effects,
        drift: drift.unwrap_or_default(),
        reverted,
        became,
    }
}

fn left_behind(target: &Target, error: CommandError) -> HostOutcome {
    HostOutcome {
        host: target.host.name.clone(),
        plan: simplenetes_sync::Plan::default(),
        effects: Vec::new(),
        drift: simplenetes_sync::Plan::default(),
        reverted: None,
        became: Became::Failed(error),
    }
}

fn sorted(mut outcomes: Vec<HostOutcome>) -> Vec<HostOutcome> {
    outcomes.sort_by(|one, other| one.host.cmp(&other.host));
    outcomes
}

/// Whether the host was synced from a newer project or from an older one cannot be told without the commits between.
fn shallow() -> CommandError {
    CommandError::refused(
        "this clone is shallow and does not reach back to the commit that the host was synced from",
    )
    .hint("git fetch --unshallow, or --depth=0 in the settings of a pipeline")
}

fn died(target: &Target) -> Failure {
    let name = &target.host.name;
    Failure::No(CommandError::new(
        Kind::Internal,
        format!("the sync of host {name} died"),
    ))
}
