//! What a host knows of each kind of pod: who answers for it, and why the one that should does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::runtime::Runtime;

/// What is known of one kind.
#[derive(Clone)]
pub struct Kind {
    /// Who answers for it; none when nobody ever could.
    pub runtime: Option<Arc<dyn Runtime>>,
    /// Why the plugin that `plugins.yaml` names is not the one in service.
    pub problem: Option<String>,
    /// The name of the plugin that answers for it.
    pub plugin: String,
    /// True while the plugin that `plugins.yaml` names is translated for this machine.
    pub is_coming: bool,
}

impl Kind {
    fn is(&self, other: &Self) -> bool {
        let is_same = match (&self.runtime, &other.runtime) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        is_same
            && (&self.problem, &self.plugin, self.is_coming)
                == (&other.problem, &other.plugin, other.is_coming)
    }
}

/// The kinds of a host.
#[derive(Clone, Default)]
pub struct Kinds {
    /// By the word behind `runtime:` in a pod.
    pub kinds: BTreeMap<String, Kind>,
    /// Problems that belong to no kind, or to one that is not known.
    pub problems: Vec<String>,
}

impl Kinds {
    /// Who answers for a kind.
    ///
    /// # Errors
    /// Nobody does; the line says why and what to do.
    pub fn runtime(&self, kind: &str) -> Result<Arc<dyn Runtime>, String> {
        let missing = || {
            let also = self
                .problems
                .iter()
                .map(|problem| format!(" ({problem})"))
                .collect::<String>();
            format!(
                "no plugin for `runtime: {kind}` on this host{also}: install one with `sns plugin install` and sync"
            )
        };
        match self.kinds.get(kind) {
            Some(Kind {
                runtime: Some(runtime),
                ..
            }) => Ok(Arc::clone(runtime)),
            Some(Kind {
                problem: Some(problem),
                ..
            }) => Err(problem.clone()),
            Some(Kind { .. }) | None => Err(missing()),
        }
    }

    /// True when these are the same plugins with the same problems.
    #[must_use]
    pub fn are(&self, other: &Self) -> bool {
        let pairs = || self.kinds.iter().zip(&other.kinds);
        self.problems == other.problems
            && self.kinds.len() == other.kinds.len()
            && pairs().all(|((name, kind), (other, known))| name == other && kind.is(known))
    }

    /// True when nobody answers for the kind yet, but somebody soon will: it is worth waiting for.
    #[must_use]
    pub fn is_coming(&self, kind: &str) -> bool {
        let kind = self.kinds.get(kind);
        kind.is_some_and(|kind| kind.is_coming && kind.runtime.is_none())
    }
}
