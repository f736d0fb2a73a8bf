//! The seam to the plugins: who is asked what should be done. The daemon and its tests know a kind of
//! pod only through this.

use std::sync::Arc;

use simplenetes_plugin::{CallError, Planned, Plugin, Report, Step, View};

/// Answers for one kind of pod. Calls block for at most the plugin's deadline.
pub trait Runtime: Send + Sync {
    /// The steps of one operation.
    ///
    /// # Errors
    /// The plugin failed; the class says what to do about it.
    fn plan(&self, view: Arc<View>) -> Result<Planned, CallError>;

    /// The looks that are needed to know how all pods of the view are.
    ///
    /// # Errors
    /// The plugin failed.
    fn observe(&self, view: Arc<View>) -> Result<Vec<Step>, CallError>;

    /// How the pods of the view are.
    ///
    /// # Errors
    /// The plugin failed.
    fn assess(&self, view: Arc<View>) -> Result<Report, CallError>;

    /// True when `limits` hold for units of this kind, wherever they run.
    fn takes_limits(&self, kind: &str) -> bool;
}

impl Runtime for Plugin {
    fn plan(&self, view: Arc<View>) -> Result<Planned, CallError> {
        Self::plan(self, view)
    }

    fn observe(&self, view: Arc<View>) -> Result<Vec<Step>, CallError> {
        Self::observe(self, view)
    }

    fn assess(&self, view: Arc<View>) -> Result<Report, CallError> {
        Self::assess(self, view)
    }

    fn takes_limits(&self, kind: &str) -> bool {
        let shape = self.manifest().shape(kind);
        shape.is_some_and(|shape| shape.takes_limits)
    }
}
