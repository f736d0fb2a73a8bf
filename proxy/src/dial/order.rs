//! Who is tried next, and what is said in the end when nobody serves.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::attempt::Choice;
use super::{Dialling, LATER_AFTER, Missed};
use crate::peers::view::Known;
use crate::route::{self, Other};
use crate::tools::Tools;

impl Dialling {
    /// Whether all backends of this host have so much to do that another host should help.
    pub(super) fn is_overloaded(&self) -> bool {
        let slots = self.routes.slots(self.port);
        let active = slots.iter().map(|slot| slot.load(0).active).min();
        active.is_some_and(|active| {
            let peers = self.routes.peers.iter();
            let offers = peers.filter_map(|peer| match peer.link.as_ref()?.at(self.port) {
                Known::Offers(offer) => Some(offer),
                Known::Nothing | Known::None | Known::Silent => None,
            });
            route::is_overloaded(active, offers)
        })
    }

    pub(super) fn next(&mut self, tools: &mut Tools) -> Option<Choice> {
        if self.left.is_empty() && self.may_leave {
            self.leave(tools);
        }
        self.left.pop()
    }

    /// The other hosts come next.
    pub(super) fn leave(&mut self, tools: &mut Tools) {
        self.may_leave = false;
        let (mut known, mut choices) = (Vec::new(), Vec::new());
        let routes = Arc::clone(&self.routes);
        for (index, peer) in routes.peers.iter().enumerate() {
            let offer = match peer.link.as_ref().map(|link| link.at(self.port)) {
                None => None,
                Some(Known::Offers(offer)) => Some(offer),
                Some(Known::None | Known::Silent) => continue,
                Some(Known::Nothing) => {
                    self.try_later(Choice::Peer(index), tools);
                    continue;
                }
            };
            let verdict = tools.memory.recall(self.port, peer.address, tools.now);
            known.push(Other { offer, verdict });
            choices.push(Choice::Peer(index));
        }
        let order = route::others(&known, &mut |count| tools.random.below(count));
        let ordered = order.into_iter().rev();
        let ordered = ordered.filter_map(|place| choices.get(place).copied());
        self.left.extend(ordered);
    }

    /// Tries one again in a moment, if another one does not answer until then: nobody waits only for that one.
    pub(super) fn try_later(&mut self, choice: Choice, tools: &Tools) {
        self.later.push(choice);
        self.later_at = Some(tools.now + LATER_AFTER);
        self.miss(Missed::Soon);
    }

    /// What is said in the end, unless somebody serves: that more will be known soon counts most.
    pub(super) fn miss(&mut self, missed: Missed) {
        if self.missed != Missed::Soon {
            self.missed = missed;
        }
    }
}

/// Whether the system has no room for one more socket: that passes, when others end.
pub(super) fn is_scarce(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL)
    )
}
