//! What has become of releases on their hosts, as `ps` shows it: each host is asked once, all at the same time.

use std::collections::BTreeMap;

use hostfiles::{Format as _, PodStatus};
use names::{HostName, ReleaseId};
use simplenetes_sync::Tree;
use simplenetes_sync::wire::{Seen, Standing as Told, StandingKind};

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::project::{Cluster, Host, Selected};
use crate::remote::Remotes;
use crate::syncing::{Failure, Receiver, at_once};

/// What is known about a release.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// Its status file.
    Known(Box<PodStatus>),
    /// It was never run, or the host does not have it yet; and what its daemon says of it, if anything.
    NonExisting(String),
    /// Its status file is old: the process that wrote it is gone.
    Stale,
    /// Its host cannot be asked, for this reason.
    Unreachable(String),
    /// Its status cannot be read, for this reason. The other releases can be shown all the same.
    Unreadable(String),
}

/// What was asked of one host, with the places of the releases in the question.
struct Question {
    host: Host,
    releases: Vec<(usize, ReleaseId)>,
}

/// What the hosts said.
pub(crate) struct Answers {
    /// What has become of each release, in the order of the question.
    pub(crate) standings: Vec<Standing>,
    /// What should be said about hosts.
    pub(crate) notes: Vec<String>,
}

/// Asks the hosts of these releases.
pub(crate) fn ask(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    releases: &[Selected],
) -> Result<Answers, CommandError> {
    let mut questions: BTreeMap<HostName, Question> = BTreeMap::new();
    for (place, release) in releases.iter().enumerate() {
        let question = questions
            .entry(release.host.name.clone())
            .or_insert_with(|| Question {
                host: release.host.clone(),
                releases: Vec::new(),
            });
        question.releases.push((place, release.id.clone()));
    }
    let remotes = Remotes::new(context.environment)?;
    let (environment, id) = (context.environment, &cluster.id);
    let answers = at_once(questions.into_values(), &|question: Question| {
        let ids: Vec<ReleaseId> = question.releases.iter().map(|(_, id)| id.clone()).collect();
        let answer = Receiver::open(&remotes, environment, &question.host).and_then(|receiver| {
            let told = receiver.ask(|link| link.standings(id, &ids))?;
            // What is wanted does not matter here: nothing is like an empty tree.
            let seen = receiver.ask(|link| link.look(id, &Tree::default()))?;
            Ok((told, seen))
        });
        (question, answer)
    });
    context.tell_warnings(&remotes);
    Ok(sorted(releases.len(), answers))
}

/// What each host said about its releases, or why it said nothing.
type Answer = (Question, Result<(Vec<Told>, Seen), Failure>);

fn sorted(count: usize, answers: Vec<Answer>) -> Answers {
    let mut standings = vec![Standing::NonExisting(String::new()); count];
    let mut notes = Vec::new();
    for (question, answer) in answers {
        let name = &question.host.name;
        let told = match answer {
            Ok((told, seen)) => {
                notes.extend(about(name, &seen));
                told.into_iter().map(Standing::of).collect()
            }
            Err(failure) => {
                let error = failure.into_error();
                notes.extend(
                    error
                        .hints()
                        .iter()
                        .map(|hint| format!("host {name}: {hint}")),
                );
                vec![Standing::Unreachable(error.to_string()); question.releases.len()]
            }
        };
        for ((place, _), standing) in question.releases.iter().zip(told) {
            if let Some(slot) = standings.get_mut(*place) {
                *slot = standing;
            }
        }
    }
    Answers { standings, notes }
}

/// What of a host is not as it should be.
fn about(name: &HostName, seen: &Seen) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(reverted) = &seen.reverted {
        let (commit, why) = (&reverted.commit, &reverted.why);
        notes.push(format!(
            "host {name} went back by itself from {commit}: {why}"
        ));
    }
    if seen.unconfirmed.is_some() {
        notes.push(format!("host {name} has a sync that waits to be confirmed"));
    }
    let changes = seen.drift.as_ref().map_or(0, |drift| drift.steps.len());
    if changes > 0 {
        notes.push(format!(
            "host {name} is not as its last sync left it ({changes} differences): `sns cluster diff` shows them"
        ));
    }
    notes
}

impl Standing {
    /// As the host told it.
    fn of(told: Told) -> Self {
        match told.kind {
            StandingKind::Known => match PodStatus::parse(&told.text) {
                Ok(status) => Self::Known(Box::new(status)),
                Err(error) => Self::Unreadable(error.to_string()),
            },
            StandingKind::Stale => Self::Stale,
            StandingKind::NonExisting => Self::NonExisting(told.text),
            StandingKind::Unreadable => Self::Unreadable(told.text),
        }
    }

    /// The word of the status.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Known(status) => status.status.as_str(),
            Self::NonExisting(_) => "non-existing",
            Self::Stale | Self::Unreachable(_) | Self::Unreadable(_) => "unknown",
        }
    }

    /// The status, if it can be relied on.
    pub(crate) fn known(&self) -> Option<&PodStatus> {
        match self {
            Self::Known(status) => Some(status),
            _ => None,
        }
    }

    /// True when it may get traffic.
    pub(crate) fn is_ready(&self) -> bool {
        self.known().is_some_and(|status| status.readiness)
    }

    /// How often its units were started again.
    pub(crate) fn restarts(&self) -> u32 {
        self.known().map_or(0, PodStatus::restarts)
    }

    /// What a person should know.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Known(status) => &status.message,
            Self::NonExisting(problem) => problem,
            Self::Stale => "no daemon drives it",
            Self::Unreachable(reason) | Self::Unreadable(reason) => reason,
        }
    }

    /// The status as JSON, with every field of the file that is known.
    pub(crate) fn json(&self) -> serde_json::Value {
        let Some(status) = self.known() else {
            return serde_json::json!({
                "status": self.word(),
                "ready": false,
                "restarts": 0,
                "message": self.message(),
                "units": [],
            });
        };
        status.to_json()
    }
}
