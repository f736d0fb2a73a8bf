//! The seam to the plugins: who is asked what should be done. The daemon and its tests know a kind of
//! pod only through this.

use std::sync::Arc;

use simplenetes_plugin::{CallError, Planned, Plugin, View};

/// Answers for one kind of pod. Calls block for at most the plugin's deadline.
pub trait Runtime: Send + Sync {
    /// The steps of one operation.
    ///
    /// # Errors
    /// The plugin failed; the class says what to do about it.
    fn plan(&self, view: Arc<View>) -> Result<Planned, CallError>;
}

impl Runtime for Plugin {
    fn plan(&self, view: Arc<View>) -> Result<Planned, CallError> {
        Self::plan(self, view)
    }
}
