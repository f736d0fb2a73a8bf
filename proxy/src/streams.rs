//! How many long streams each worker carries: one that has more than its share hands them on.
//!
//! Short answers are better off together: on two cores a second busy thread doubles their tail. A long stream
//! takes a core for itself, so it goes where there are fewest of them.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use crate::worker::Order;

/// The way to one worker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Courier {
    pub(crate) orders: Sender<Order>,
    pub(crate) bell: Arc<OwnedFd>,
    /// How many long streams it carries.
    pub(crate) streams: Arc<AtomicUsize>,
    /// It was told to look, and has not done so yet.
    pub(crate) looks: Arc<AtomicBool>,
}

impl Courier {
    /// Has the worker look again for those who wait for a place. However often another proxy says that it has one, a
    /// single order waits.
    pub(crate) fn have_look(&self) {
        if !self.looks.swap(true, Ordering::AcqRel) {
            self.tell(Order::Look(Arc::clone(&self.looks)));
        }
    }

    /// Tells the worker something.
    pub(crate) fn tell(&self, order: Order) {
        // A worker that is gone obeys nobody; one whose bell is full hears it anyway.
        let _ = self.orders.send(order);
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

/// All workers, as one of them sees them.
pub(crate) struct Streams {
    own: Arc<AtomicUsize>,
    others: Vec<Courier>,
    /// The worker to which short ones belong, where that is not this one.
    home: Option<Courier>,
}

impl Streams {
    /// Those of the worker at this place among all; the first `accepting` ones accept clients.
    pub(crate) fn of(place: usize, accepting: usize, all: &[Courier]) -> Self {
        let own = all.get(place).map(|own| Arc::clone(&own.streams));
        let others = all.iter().enumerate().filter(|(other, _)| *other != place);
        Self {
            own: own.unwrap_or_default(),
            others: others.map(|(_, courier)| courier.clone()).collect(),
            home: all.first().filter(|_| place >= accepting).cloned(),
        }
    }

    /// This worker has one more, or one less.
    pub(crate) fn count(&self, more: bool) {
        if more {
            self.own.fetch_add(1, Ordering::Relaxed);
        } else {
            let before = self.own.fetch_sub(1, Ordering::Relaxed);
            debug_assert!(before > 0, "a stream was counted that never was");
        }
    }

    /// Tells all other workers something.
    pub(crate) fn tell_others(&self, order: impl Fn() -> Order) {
        for other in &self.others {
            other.tell(order());
        }
    }

    /// The worker to which a stream that is no longer long goes back; none when that is this one.
    pub(crate) fn home(&self) -> Option<&Courier> {
        self.home.as_ref()
    }

    /// The worker that should have one of this worker's, if any: both must be better off then.
    pub(crate) fn less_busy(&self) -> Option<&Courier> {
        let own = self.own.load(Ordering::Relaxed);
        let count = |courier: &&Courier| courier.streams.load(Ordering::Relaxed);
        let least = self.others.iter().min_by_key(count)?;
        (count(&least).saturating_add(1) < own).then_some(least)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    fn couriers(streams: &[usize]) -> Vec<Courier> {
        let courier = |count: &usize| Courier {
            orders: channel().0,
            bell: Arc::new(eventfd(0, EventfdFlags::empty()).unwrap()),
            looks: Arc::default(),
            streams: Arc::new(AtomicUsize::new(*count)),
        };
        streams.iter().map(courier).collect()
    }

    #[test]
    fn however_often_it_is_told_to_look_one_order_waits() {
        let (orders, waiting) = channel();
        let courier = Courier {
            orders,
            bell: Arc::new(eventfd(0, EventfdFlags::empty()).unwrap()),
            streams: Arc::default(),
            looks: Arc::default(),
        };
        for _ in 0..2 {
            (0..1000).for_each(|_| courier.have_look());
            let orders: Vec<Order> = waiting.try_iter().collect();
            let [Order::Look(flag)] = orders.as_slice() else {
                panic!("{} orders", orders.len());
            };
            // As the worker does before it looks.
            flag.store(false, Ordering::Release);
        }
    }

    #[test]
    fn a_stream_goes_where_it_makes_both_better_off() {
        let check = |streams: &[usize], expected: Option<usize>| {
            let all = couriers(streams);
            let own = Streams::of(0, 1, &all);
            let chosen = own.less_busy();
            let found = chosen.map(|chosen| chosen.streams.load(Ordering::Relaxed));
            assert_eq!(found, expected, "{streams:?}");
        };
        check(&[5], None);
        check(&[1, 0], None);
        check(&[2, 0], Some(0));
        check(&[2, 1], None);
        check(&[4, 3, 1], Some(1));
    }
}
