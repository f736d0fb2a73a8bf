//! What became of one host in a sync, or would become of it.

use names::HostName;
use serde_json::json;
use simplenetes_sync::Plan;

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
    /// Nothing was tried.
    Planned,
}

impl HostOutcome {
    /// True when the host has not what the project wants.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.became, Became::Failed(_))
    }

    /// The word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self.became {
            Became::Unchanged => "unchanged",
            Became::Updated => "updated",
            Became::Failed(_) => "failed",
            Became::Planned => "planned",
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let error = match &self.became {
            Became::Failed(error) => Some(error.to_string()),
            _ => None,
        };
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
