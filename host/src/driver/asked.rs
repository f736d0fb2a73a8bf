//! Requests by hand: read from `pod.action`, put into the hand, and followed to their end.

use std::sync::Arc;

use super::{Asked, Driver, Wake, World};
use crate::hand::Settled;

impl<W: World> Driver<W> {
    /// Looks for a request, which is answered by a wake.
    pub(super) fn ask_for_requests(&mut self) {
        let world = Arc::clone(&self.world);
        self.looks_for_requests += 1;
        self.spawn(Wake::Asked(None), async move {
            Wake::Asked(world.read_action().await.map(Box::new))
        });
    }

    /// Takes over what was found, if anything was that is not known yet.
    pub(super) fn take_request(&mut self, asked: Option<&Asked>) {
        self.looks_for_requests = self.looks_for_requests.saturating_sub(1);
        let Some(asked) = asked else {
            return;
        };
        if self.hand.has_taken(&asked.file) {
            // It lies there until it was told that it is known.
            self.told = None;
            return;
        }
        let file = self.orders.desired.borrow().clone();
        let file = file.and_then(|desired| desired.state.ok().flatten());
        let spec = self.spec.clone();
        let events = self.hand.take(asked, spec.as_deref(), &self.life, file);
        for event in events {
            self.apply(event);
        }
        self.learn_desired();
    }

    /// Has requests begin and end, until nothing more follows from that.
    pub(super) fn settle_hand(&mut self) {
        let Some(spec) = self.spec.clone() else {
            return;
        };
        loop {
            let settled = self.hand.settle(&spec, &self.life, self.clock.now_ms());
            if settled == Settled::default() {
                return;
            }
            for event in settled.events {
                self.apply(event);
            }
            if settled.has_moved {
                self.learn_desired();
            }
        }
    }
}
