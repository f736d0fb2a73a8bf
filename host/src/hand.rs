//! What a person has asked for by hand, through `pod.action`: what holds until `pod.state` changes, the
//! requests that are under way, and what has become of the last ones.
//!
//! Pure: a request becomes events of the release's life and a goal, and whether the goal is reached is
//! read from that life. It knows no file and runs nothing.

mod goal;
mod hold;
mod request;
mod settle;

use hostfiles::{ActionStatus, PodVerb};
use names::PodState;
use serde::{Deserialize, Serialize};

use crate::life::Life;

pub use goal::Goal;
pub use hold::Hold;
pub use settle::Settled;

/// So many requests are remembered with what has become of them: each asker looks for its own.
const ENDED_MAX: usize = 32;
/// No more are under way at once.
const UNDER_WAY_MAX: usize = 32;

/// What is kept of a person's wishes, also when the daemon is started anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hand {
    /// What holds in place of `pod.state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The last requests, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Request>,
}

/// One request and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Its name among all others.
    pub id: String,
    /// Which file it lay in.
    #[serde(default)]
    pub file: String,
    /// What was asked for.
    pub verb: PodVerb,
    /// How far it is.
    pub progress: Progress,
    /// True when the life of the release knows of it: after a restart it has to be told again.
    #[serde(skip)]
    is_begun: bool,
}

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Progress {
    /// This has to be so for it to be done.
    UnderWay(Goal),
    /// It is over; an error is a line for people.
    Ended(Result<(), String>),
}

impl Request {
    /// What has become of it; none while it is under way.
    #[must_use]
    pub fn outcome(&self) -> Option<&Result<(), String>> {
        match &self.progress {
            Progress::UnderWay(_) => None,
            Progress::Ended(outcome) => Some(outcome),
        }
    }

    fn goal(&self) -> Option<&Goal> {
        match &self.progress {
            Progress::UnderWay(goal) => Some(goal),
            Progress::Ended(_) => None,
        }
    }

    fn end(&mut self, outcome: Result<(), String>) {
        self.progress = Progress::Ended(outcome);
    }
}

impl Hand {
    /// True when nothing has to be kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wanted when `pod.state` says this: what a person wants, until the file says something
    /// else than it said then. None when nobody wants anything.
    pub fn wanted(&mut self, file: Option<PodState>) -> Option<PodState> {
        if let (Some(hold), Some(state)) = (self.hold, file)
            && hold.file != file
        {
            self.hold = None;
            let why = format!("pod.state has changed to {state} meanwhile");
            self.end_others_than(&Hold::of(state), &why);
        }
        self.held().or(file)
    }

    /// What is wanted by hand, whatever `pod.state` says: where there is no daemon, nobody follows that.
    #[must_use]
    pub fn held(&self) -> Option<PodState> {
        self.hold.map(|hold| hold.wanted)
    }

    /// True when units should be killed at once.
    #[must_use]
    pub fn is_hasty(&self) -> bool {
        self.hold.is_some_and(|hold| hold.is_hasty)
    }

    /// True when the pod was made by hand and waits for its start.
    #[must_use]
    pub fn is_created(&self) -> bool {
        self.hold.is_some_and(|hold| hold.is_created)
    }

    /// What `ps` says about what holds by hand; none when nothing does.
    #[must_use]
    pub fn explain(&self) -> Option<String> {
        self.hold.as_ref().and_then(Hold::explain)
    }

    /// The last request as the status tells it.
    #[must_use]
    pub fn status(&self) -> Option<ActionStatus> {
        let request = self.requests.last()?;
        Some(ActionStatus {
            id: request.id.clone(),
            verb: request.verb,
            outcome: request.outcome().cloned(),
        })
    }

    /// The request of this name, as long as it is remembered.
    #[must_use]
    pub fn request(&self, id: &str) -> Option<&Request> {
        self.requests.iter().rev().find(|request| request.id == id)
    }

    /// True when the request in this file was taken over, as long as it is remembered.
    #[must_use]
    pub fn has_taken(&self, file: &str) -> bool {
        self.requests.iter().any(|request| request.file == file)
    }

    /// True when no request is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let mut requests = self.requests.iter();
        requests.all(|request| request.outcome().is_some())
    }

    /// True when the person for whom the release was driven wants nothing more of it.
    #[must_use]
    pub fn has_left(&self, life: &Life) -> bool {
        let is_done = self.is_idle() && !self.requests.is_empty() && life.errand.is_none();
        let is_over = match life.wanted {
            PodState::Running => false,
            PodState::Stopped => true,
            // What could not be removed is tried again.
            PodState::Removed => life.removed && !self.hold.is_some_and(|hold| hold.then_runs),
        };
        is_done && is_over && life.is_down()
    }

    /// Ends the requests that cannot be done any more when this holds.
    fn end_others_than(&mut self, hold: &Hold, why: &str) {
        for request in &mut self.requests {
            if request.goal().is_some_and(|goal| !goal.survives(hold)) {
                request.end(Err(why.to_owned()));
            }
        }
    }

    /// Remembers a request; of those that are over the oldest are forgotten when there are too many.
    fn enter(&mut self, request: Request) {
        self.requests.push(request);
        let is_over = |one: &Request| one.outcome().is_some();
        let ended = self.requests.iter().filter(|one| is_over(one)).count();
        let mut surplus = ended.saturating_sub(ENDED_MAX);
        self.requests.retain(|one| {
            let stays = surplus == 0 || !is_over(one);
            surplus -= usize::from(!stays);
            stays
        });
    }
}
