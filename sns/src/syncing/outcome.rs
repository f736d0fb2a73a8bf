//! What became of one host in a sync, or would become of it.

use names::HostName;
use serde_json::json;
use simplenetes_sync::Plan;
use simplenetes_sync::wire::Reverted;

use crate::command_error::CommandError;

/// What became of one host.
#[derive(Debug)]
pub(crate) struct HostOutcome {
    /// The host.
    pub(crate) host: HostName,
    /// What was to be done.
    pub(crate) plan: Plan,
    /// What that does to its pods, one line each.
    pub(crate) effects: Vec<String>,
    /// What on the host was not as its last sync left it.
    pub(crate) drift: Plan,
    /// That it had gone back by itself before.
    pub(crate) reverted: Option<Reverted>,
    /// How it went.
    pub(crate) became: Became,
}

/// How it went.
#[derive(Debug)]
pub(crate) enum Became {
    /// There was nothing to do.
    Unchanged,
    /// The host is as the project wants it.
    Updated,
    /// The host is as it was, because of this.
    Failed(CommandError),
    /// The host is changed in part, because of this. Its daemon takes nothing new until the next sync, or the
    /// daemon itself, has finished it.
    Unfinished(CommandError),
    /// The host was changed and went back by itself, because of this.
    WentBack(CommandError),
    /// Nobody knows whether the host is as before or as wanted, because of this. Unless it was confirmed it goes
    /// back by itself.
    Unknown(CommandError),
    /// Nothing was tried.
    Planned,
}

impl HostOutcome {
    /// Why the host has not what the project wants.
    pub(crate) fn failure(&self) -> Option<&CommandError> {
        match &self.became {
            Became::Failed(error)
            | Became::Unfinished(error)
            | Became::WentBack(error)
            | Became::Unknown(error) => Some(error),
            Became::Unchanged | Became::Updated | Became::Planned => None,
        }
    }

    /// True when the host has all that the project wants.
    pub(crate) fn is_complete(&self) -> bool {
        self.failure().is_none() && self.plan.held_back.is_empty()
    }

    /// True when the host may be neither as before nor as wanted.
    pub(crate) fn is_mixed(&self) -> bool {
        matches!(self.became, Became::Unfinished(_) | Became::Unknown(_))
    }

    /// True when something changed, or would.
    pub(crate) fn is_change(&self) -> bool {
        !self.plan.is_empty()
    }

    /// The word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self.became {
            Became::Unchanged => "unchanged",
            Became::Updated => "updated",
            Became::Failed(_) => "failed",
            Became::Unfinished(_) => "unfinished",
            Became::WentBack(_) => "went back",
            Became::Unknown(_) => "unknown",
            Became::Planned => "planned",
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let error = self.failure().map(ToString::to_string);
        json!({
            "host": self.host,
            "result": self.word(),
            "changes": change_lines(self),
            "effects": self.effects,
            "heldBack": self.plan.held_back,
            "drift": self.drift.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "reverted": self.reverted,
            "error": error,
        })
    }
}

/// One readable line for every change.
pub(crate) fn change_lines(outcome: &HostOutcome) -> Vec<String> {
    outcome.plan.steps.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use names::ReleaseId;
    use simplenetes_sync::Step;

    use super::*;

    fn outcome(became: Became, plan: Plan) -> HostOutcome {
        HostOutcome {
            host: "laptop".parse().unwrap(),
            plan,
            effects: Vec::new(),
            drift: Plan::default(),
            reverted: None,
            became,
        }
    }

    #[test]
    fn what_may_be_between_old_and_new_is_told_apart() {
        let why = || CommandError::mistake("why");
        for (became, word, is_complete, is_mixed) in [
            (Became::Unchanged, "unchanged", true, false),
            (Became::Updated, "updated", true, false),
            (Became::Failed(why()), "failed", false, false),
            (Became::WentBack(why()), "went back", false, false),
            (Became::Unfinished(why()), "unfinished", false, true),
            (Became::Unknown(why()), "unknown", false, true),
        ] {
            let some = Plan {
                steps: vec![Step::Hosts],
                ..Plan::default()
            };
            let outcome = outcome(became, some);
            assert_eq!(
                (outcome.word(), outcome.is_complete(), outcome.is_mixed()),
                (word, is_complete, is_mixed)
            );
        }
    }

    #[test]
    fn a_host_that_keeps_an_old_pod_is_not_complete() {
        let held: ReleaseId = "web:1.0.0".parse().unwrap();
        let plan = Plan {
            held_back: vec![held],
            ..Plan::default()
        };
        assert!(!outcome(Became::Unchanged, plan).is_complete());
    }
}
