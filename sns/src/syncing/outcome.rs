//! What became of one host in a sync, or would become of it.

use names::HostName;
use serde_json::json;
use simplenetes_sync::Plan;
use simplenetes_sync::far::FarError;

use crate::command_error::CommandError;

/// What became of one host.
#[derive(Debug)]
pub(crate) struct HostOutcome {
    /// The host.
    pub(crate) host: HostName,
    /// What was to be done.
    pub(crate) plan: Plan,
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
    /// Nothing was tried.
    Planned,
}

impl Became {
    /// How it went, by what the far end says; `explain` makes a failure a message.
    pub(super) fn of(
        plan: &Plan,
        applied: Result<(), FarError>,
        explain: impl FnOnce(FarError) -> CommandError,
    ) -> Self {
        match applied {
            Ok(()) if plan.is_empty() => Self::Unchanged,
            Ok(()) => Self::Updated,
            Err(error @ FarError::Unfinished(_)) => Self::Unfinished(explain(error)),
            Err(error) => Self::Failed(explain(error)),
        }
    }
}

impl HostOutcome {
    /// Why the host has not what the project wants.
    pub(crate) fn failure(&self) -> Option<&CommandError> {
        match &self.became {
            Became::Failed(error) | Became::Unfinished(error) => Some(error),
            Became::Unchanged | Became::Updated | Became::Planned => None,
        }
    }

    /// True when the host has all that the project wants.
    pub(crate) fn is_complete(&self) -> bool {
        self.failure().is_none() && self.plan.held_back.is_empty()
    }

    /// The word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self.became {
            Became::Unchanged => "unchanged",
            Became::Updated => "updated",
            Became::Failed(_) => "failed",
            Became::Unfinished(_) => "unfinished",
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
            "heldBack": self.plan.held_back,
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
    use std::io;

    use names::ReleaseId;
    use simplenetes_sync::Step;
    use simplenetes_sync::far::{Effect, EffectError};

    use super::*;

    fn fault() -> EffectError {
        EffectError {
            effect: Effect::Rename,
            path: "/home/pods".into(),
            source: io::ErrorKind::StorageFull.into(),
        }
    }

    #[test]
    fn changed_in_part_is_not_told_as_unchanged() {
        let some = Plan {
            steps: vec![Step::Hosts],
            ..Plan::default()
        };
        let none = Plan::default();
        for (plan, applied, word, is_complete) in [
            (&none, Ok(()), "unchanged", true),
            (&some, Ok(()), "updated", true),
            (&some, Err(FarError::Unchanged(fault())), "failed", false),
            (
                &some,
                Err(FarError::Unfinished(fault())),
                "unfinished",
                false,
            ),
        ] {
            let outcome = HostOutcome {
                host: "laptop".parse().unwrap(),
                plan: plan.clone(),
                became: Became::of(plan, applied, CommandError::from),
            };
            assert_eq!((outcome.word(), outcome.is_complete()), (word, is_complete));
        }
    }

    #[test]
    fn a_host_that_keeps_an_old_pod_is_not_complete() {
        let held: ReleaseId = "web:1.0.0".parse().unwrap();
        let outcome = HostOutcome {
            host: "laptop".parse().unwrap(),
            plan: Plan {
                held_back: vec![held],
                ..Plan::default()
            },
            became: Became::Unchanged,
        };
        assert!(!outcome.is_complete());
    }
}
