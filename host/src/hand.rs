//! What a person has asked for by hand, through `pod.action`: what holds until `pod.state` changes, and
//! the request that is under way.
//!
//! Pure: a request becomes events of the release's life and a goal, and whether the goal is reached is
//! read from that life. It knows no file and runs nothing.

mod goal;
mod request;

use hostfiles::{ActionStatus, PodVerb};
use names::PodState;
use serde::{Deserialize, Serialize};

use crate::life::Life;

pub use goal::Goal;

/// What is kept of a person's wishes, also when the daemon is started anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hand {
    /// What holds in place of `pod.state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The last request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
}

/// What a person wants in place of `pod.state`, until that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// What is wanted.
    pub wanted: PodState,
    /// True when units are killed, not asked to end.
    pub is_hasty: bool,
    /// True when the pod was made and waits for `start`.
    pub is_created: bool,
    /// What `pod.state` said then; none when there was none.
    pub file: Option<PodState>,
}

/// One request and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Its name among all others.
    pub id: String,
    /// What was asked for.
    pub verb: PodVerb,
    /// What has to be so for it to be done.
    pub goal: Goal,
    /// What has become of it; none while it is under way.
    pub outcome: Option<Result<(), String>>,
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
        if self
            .hold
            .is_some_and(|hold| file.is_some() && hold.file != file)
        {
            self.hold = None;
            let state = file.map(|state| state.to_string()).unwrap_or_default();
            self.finish(Err(format!("pod.state has changed to {state} meanwhile")));
        }
        self.hold.map(|hold| hold.wanted).or(file)
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
        let hold = self.hold.filter(|hold| hold.file != Some(hold.wanted))?;
        let what = if hold.is_created {
            "created, waits for `start`"
        } else {
            hold.wanted.as_str()
        };
        match hold.file {
            // Nothing else says what it should be.
            None => hold.is_created.then(|| what.to_owned()),
            Some(file) => Some(format!(
                "held by hand: {what}, although pod.state says {file}; until that changes or `run` is called"
            )),
        }
    }

    /// The last request as the status tells it.
    #[must_use]
    pub fn status(&self) -> Option<ActionStatus> {
        let request = self.request.as_ref()?;
        Some(ActionStatus {
            id: request.id.clone(),
            verb: request.verb,
            outcome: request.outcome.clone(),
        })
    }

    /// True when no request is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let request = self.request.as_ref();
        request.is_none_or(|request| request.outcome.is_some())
    }

    /// True when the person for whom the release was driven wants nothing more of it.
    #[must_use]
    pub fn has_left(&self, life: &Life) -> bool {
        let is_done = self.is_idle() && self.request.is_some() && life.errand.is_none();
        is_done && life.wanted != PodState::Running && life.is_down()
    }

    /// Ends the request that is under way, if there is one.
    fn finish(&mut self, outcome: Result<(), String>) {
        if let Some(request) = &mut self.request
            && request.outcome.is_none()
        {
            request.outcome = Some(outcome);
        }
    }
}
