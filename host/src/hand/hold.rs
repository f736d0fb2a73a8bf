//! What holds by hand in place of `pod.state`.

use names::PodState;
use serde::{Deserialize, Serialize};

/// What a person wants in place of `pod.state`, until that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// What is wanted.
    pub wanted: PodState,
    /// True when the pod should run as soon as it is removed. It is kept here and not with the request,
    /// because it has to come about also when nobody waits for it any more.
    #[serde(default)]
    pub then_runs: bool,
    /// True when units are killed, not asked to end.
    pub is_hasty: bool,
    /// True when the pod was made and waits for `start`.
    pub is_created: bool,
    /// What `pod.state` said then; none when there was none.
    pub file: Option<PodState>,
}

impl Hold {
    /// What `pod.state` asks for, in the same words.
    pub(super) fn of(state: PodState) -> Self {
        Self {
            wanted: state,
            then_runs: false,
            is_hasty: false,
            is_created: false,
            file: Some(state),
        }
    }

    /// True when the pod should run in the end.
    pub(super) fn leads_up(&self) -> bool {
        self.then_runs || self.wanted == PodState::Running
    }

    /// What was removed to be run again runs again.
    pub(super) fn run_again(&mut self) {
        self.wanted = PodState::Running;
        self.then_runs = false;
        self.is_hasty = false;
    }

    /// What `ps` says about it; none when it changes nothing.
    pub(super) fn explain(&self) -> Option<String> {
        if self.then_runs {
            return Some("removed by hand, to be run again".to_owned());
        }
        if self.file == Some(self.wanted) && !self.is_created {
            return None;
        }
        let what = if self.is_created {
            "created, waits for `start`"
        } else {
            self.wanted.as_str()
        };
        match self.file.filter(|file| *file != self.wanted) {
            // Nothing else says what it should be.
            None => self.is_created.then(|| what.to_owned()),
            Some(file) => Some(format!(
                "held by hand: {what}, although pod.state says {file}; until that changes or `run` is called"
            )),
        }
    }
}
