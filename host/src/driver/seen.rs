//! What the plugin says of the release, when it was asked about all pods of its kind.

use std::sync::Arc;

use super::{Driver, World};
use crate::life::Event;

impl<W: World> Driver<W> {
    /// Has the plugin asked how the release is.
    pub(super) fn ask_for_look(&self) {
        if let Some(spec) = &self.spec {
            let state = self.memory.plugin_state.clone();
            self.world.look(Arc::clone(spec), state);
        }
    }

    /// Takes over what a look brought. It adds to what is known of units, and changes no phase.
    pub(super) fn take_seen(&mut self) {
        let seen = self.seen.borrow_and_update().clone();
        // What was done since is followed by a look of its own.
        let is_current = self.life.operation.is_none() && seen.began_ms >= self.operated_ms;
        if let Some(at) = seen.wake_at_ms.filter(|_| is_current) {
            self.apply(Event::TickAt(at));
        }
        if let Some(kept) = seen.kept
            && kept.before == self.memory.plugin_state
        {
            self.memory.plugin_state = kept.after;
        }
        for (unit, (start_count, code)) in seen.exits {
            self.apply(Event::ExitLearned {
                unit,
                start_count,
                code,
            });
        }
    }

    /// What a look has to say to people.
    pub(super) fn said(&self) -> Vec<String> {
        let seen = self.seen.borrow();
        let lines = [&seen.trouble, &seen.message];
        lines.into_iter().flatten().cloned().collect()
    }
}
