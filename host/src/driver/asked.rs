//! Requests by hand: read from `pod.action`, put into the hand, and followed to their end.

use std::sync::Arc;

use hostfiles::PodAction;

use super::{Driver, Wake, World};

impl<W: World> Driver<W> {
    /// Looks for a request, which is answered by a wake.
    pub(super) fn ask_for_requests(&mut self) {
        let world = Arc::clone(&self.world);
        self.spawn(Wake::Timer, async move {
            world
                .take_action()
                .await
                .map_or(Wake::Timer, |action| Wake::Asked(Box::new(action)))
        });
    }

    pub(super) fn take_request(&mut self, action: &PodAction) {
        self.was_asked = true;
        let file = self.orders.desired.borrow().clone();
        let file = file.and_then(|desired| desired.state.ok().flatten());
        let spec = self.spec.clone();
        let events = self.hand.take(action, spec.as_deref(), &self.life, file);
        for event in events {
            self.apply(event);
        }
        self.learn_desired();
        // Another one may have come meanwhile.
        self.ask_for_requests();
    }

    /// Tells requests that have reached their goal, and goes on with those that have a second one.
    pub(super) fn settle_hand(&mut self) {
        let Some(spec) = self.spec.clone() else {
            return;
        };
        if self.hand.settle(&spec, &self.life, self.clock.now_ms()) {
            self.learn_desired();
        }
    }
}
