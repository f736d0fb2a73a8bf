//! What a host has to offer, and what to say when that changes.
//!
//! Pure: two pictures in, lines out.

use std::collections::BTreeMap;

use super::message::{Message, Offer};
use crate::table::Routes;

/// What a host offers, by cluster port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// The ports that have a backend that is ready.
    pub ports: BTreeMap<u16, Offer>,
    /// Nothing new is taken.
    pub draining: bool,
}

impl Offers {
    /// What these routes offer to other hosts now.
    pub(crate) fn of(routes: &Routes) -> Self {
        let offer = |port| {
            let slots = routes.slots(port);
            let sum = |count: fn(&crate::route::Load) -> u32| {
                let loads = slots.iter().map(|slot| slot.load(0));
                loads.fold(0_u32, |sum, load| sum.saturating_add(count(&load)))
            };
            let offer = Offer {
                backends: u32::try_from(slots.len()).unwrap_or(u32::MAX),
                active: sum(|load| load.active),
                max: sum(|load| load.max),
            };
            (port, offer)
        };
        Self {
            ports: routes.ports().map(offer).collect(),
            draining: false,
        }
    }

    /// What has to be said to somebody who knows `before`.
    #[must_use]
    pub fn news(&self, before: &Self) -> Vec<Message> {
        let mut news = Vec::new();
        if self.draining && !before.draining {
            news.push(Message::Draining);
        }
        let gone = |port: &&u16| !self.ports.contains_key(port);
        news.extend(
            before
                .ports
                .keys()
                .filter(gone)
                .map(|port| Message::Gone(*port)),
        );
        for (port, offer) in &self.ports {
            if before.ports.get(port) != Some(offer) {
                news.push(Message::Has(*port, *offer));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(ports: &[(u16, u32)]) -> Offers {
        let offer = |(port, active): &(u16, u32)| {
            let offer = Offer {
                backends: 1,
                active: *active,
                max: 10,
            };
            (*port, offer)
        };
        Offers {
            ports: ports.iter().map(offer).collect(),
            draining: false,
        }
    }

    #[test]
    fn only_what_has_changed_is_said() {
        let check = |before: &[(u16, u32)], now: &[(u16, u32)], expected: &str| {
            let news = offers(now).news(&offers(before));
            let said: String = news.iter().map(ToString::to_string).collect();
            assert_eq!(said, expected);
        };
        check(&[], &[], "");
        check(&[(1, 0), (2, 5)], &[(1, 0), (2, 5)], "");
        check(&[], &[(1, 0)], "has 1 1 0 10\n");
        check(
            &[(1, 0), (2, 0)],
            &[(2, 3), (3, 0)],
            "gone 1\nhas 2 1 3 10\nhas 3 1 0 10\n",
        );
        let ends = Offers {
            draining: true,
            ..offers(&[])
        };
        assert_eq!(ends.news(&offers(&[])), [Message::Draining]);
        assert_eq!(ends.news(&ends), []);
    }
}
