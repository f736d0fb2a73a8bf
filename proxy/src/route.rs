//! In which order to try the backends of a cluster port, and after them the other hosts.
//!
//! Pure: loads, memories, a time and a source of random numbers in, an order out. It must not dial.
//! Nothing is ever left out of an order: what looks bad only comes late, so an old memory can cost a
//! moment but never a connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use crate::health::Standing;
use crate::peers::message::Offer;

/// A source of random numbers: called with `n`, it returns a number below `n`.
pub type Draw<'a> = &'a mut dyn FnMut(usize) -> usize;

/// How busy one backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Connections that it has now.
    pub active: u32,
    /// Connections that it may have at most.
    pub max: u32,
    /// How long it takes to be connected with, as far as that is known.
    pub answers_in: Duration,
    /// Whether it has answered lately.
    pub standing: Standing,
}

impl Load {
    fn is_full(&self) -> bool {
        self.active >= self.max
    }

    /// What one more connection costs: those that it has, weighed with how soon it answers. Differences of less
    /// than a millisecond are noise, and hardly count.
    fn cost(&self) -> u128 {
        let weight = self.answers_in.as_micros() + 1000;
        (u128::from(self.active) + 1) * weight
    }
}

/// What a host said when it was last asked for a cluster port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has a backend, and gave a connection.
    Served,
    /// It has backends, and all were full.
    Busy,
    /// It has no backend that answers.
    Nothing,
    /// It could not be reached, or answered nonsense.
    Unreachable,
}

impl Verdict {
    /// How long the answer is believed.
    fn lifetime(self) -> Duration {
        match self {
            Self::Busy => Duration::from_secs(1),
            Self::Served | Self::Nothing | Self::Unreachable => Duration::from_secs(5),
        }
    }

    /// Smaller is tried earlier. A host that was not asked lately is as good as one that served, so
    /// that a new pod is found while an old one still answers.
    fn rank(known: Option<Self>) -> u8 {
        match known {
            None | Some(Self::Served) => 0,
            Some(Self::Busy) => 1,
            Some(Self::Nothing) => 2,
            Some(Self::Unreachable) => 3,
        }
    }
}

/// What the other hosts said lately, by cluster port.
#[derive(Debug, Default)]
pub struct Memory(HashMap<(u16, SocketAddr), (Verdict, Instant)>);

impl Memory {
    /// Keeps what `peer` said about a cluster port.
    pub fn note(&mut self, port: u16, peer: SocketAddr, verdict: Verdict, now: Instant) {
        self.0.insert((port, peer), (verdict, now));
    }

    /// What `peer` said about a cluster port, unless that is too long ago.
    #[must_use]
    pub fn recall(&self, port: u16, peer: SocketAddr, now: Instant) -> Option<Verdict> {
        let (verdict, at) = *self.0.get(&(port, peer))?;
        (now.saturating_duration_since(at) < verdict.lifetime()).then_some(verdict)
    }

    /// Drops what is too old to be believed.
    pub fn forget_old(&mut self, now: Instant) {
        self.0
            .retain(|_, (verdict, at)| now.saturating_duration_since(*at) < verdict.lifetime());
    }
}

/// The order in which to try the backends of this host: one that was ejected and has to be tried again first,
/// then of two drawn at random the one that costs less; the others follow, then those that are ejected, and those
/// that are full come last.
pub fn backends(loads: &[Load], draw: Draw<'_>) -> Vec<usize> {
    let mut order = shuffled(loads.len(), draw);
    let rank = |index: usize| match loads.get(index) {
        Some(load) if load.is_full() => 3,
        Some(load) => match load.standing {
            Standing::Due => 0,
            Standing::Good => 1,
            Standing::Ejected => 2,
        },
        None => 4,
    };
    let cost = |index: usize| loads.get(index).map(Load::cost);
    order.sort_by_key(|index| rank(*index));
    let due = order.iter().filter(|index| rank(**index) == 0).count();
    if let Some([first, second, ..]) = order.get_mut(due..)
        && rank(*first) == 1
        && rank(*second) == 1
        && cost(*second) < cost(*first)
    {
        std::mem::swap(first, second);
    }
    order
}

/// What is known of another host, for one cluster port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// What it says that it has; none when it does not say, as the original's proxies do not.
    pub offer: Option<Offer>,
    /// What it said when it was last asked.
    pub verdict: Option<Verdict>,
}

impl Other {
    fn rank(&self) -> u8 {
        let full = self.offer.is_some_and(|offer| offer.is_full());
        Verdict::rank(self.verdict).max(u8::from(full))
    }

    /// Whether each of its backends has less to do than each of the other's.
    fn is_less_busy(&self, than: &Self) -> bool {
        let (Some(own), Some(than)) = (self.offer, than.offer) else {
            return false;
        };
        let weighed = |one: Offer, other: Offer| u64::from(one.active) * u64::from(other.backends);
        weighed(own, than) < weighed(than, own)
    }
}

/// The order in which to ask the other hosts: of two drawn at random the one whose backends have less to do; the
/// others follow, and those that are full or said no lately come late.
pub fn others(known: &[Other], draw: Draw<'_>) -> Vec<usize> {
    let mut order = shuffled(known.len(), draw);
    let rank = |index: &usize| known.get(*index).map_or(u8::MAX, Other::rank);
    order.sort_by_key(rank);
    if let [first, second, ..] = order.as_mut_slice()
        && rank(first) == rank(second)
        && let (Some(one), Some(other)) = (known.get(*first), known.get(*second))
        && other.is_less_busy(one)
    {
        std::mem::swap(first, second);
    }
    order
}

/// So many connections of its own a host carries without a thought of others, for each backend.
const OVERLOADED_MIN: u32 = 32;

/// Whether another host should help one whose least busy backend has `active` connections: one that has less than
/// half as many, for each of its backends, and a place left.
pub fn is_overloaded(active: u32, mut others: impl Iterator<Item = Offer>) -> bool {
    active >= OVERLOADED_MIN
        && others.any(|offer| {
            let theirs = u64::from(offer.active) * 2;
            !offer.is_full() && theirs < u64::from(active) * u64::from(offer.backends)
        })
}

/// The numbers below `count`, in an order that is drawn.
fn shuffled(count: usize, draw: Draw<'_>) -> Vec<usize> {
    let mut left: Vec<usize> = (0..count).collect();
    let mut order = Vec::with_capacity(count);
    while !left.is_empty() {
        let drawn = draw(left.len()).min(left.len() - 1);
        order.push(left.swap_remove(drawn));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws the first of what is left, always.
    fn first(_: usize) -> usize {
        0
    }

    fn loads(active: &[u32], max: u32) -> Vec<Load> {
        active
            .iter()
            .map(|active| Load {
                active: *active,
                max,
                answers_in: Duration::ZERO,
                standing: Standing::Good,
            })
            .collect()
    }

    #[test]
    fn the_less_busy_of_two_comes_first() {
        let check = |active: &[u32], expected: &[usize]| {
            assert_eq!(
                backends(&loads(active, 10), &mut first),
                expected,
                "{active:?}"
            );
        };
        check(&[], &[]);
        check(&[5], &[0]);
        check(&[5, 3], &[1, 0]);
        check(&[3, 5], &[0, 1]);
        check(&[3, 3], &[0, 1]);
        // The draw gives 0, 2 and 1: the third is not compared.
        check(&[3, 0, 4], &[0, 2, 1]);
    }

    #[test]
    fn full_backends_come_last_and_are_not_left_out() {
        let check = |active: &[u32], expected: &[usize]| {
            assert_eq!(
                backends(&loads(active, 2), &mut first),
                expected,
                "{active:?}"
            );
        };
        check(&[2, 1], &[1, 0]);
        check(&[2, 2], &[0, 1]);
        check(&[0, 7, 1], &[0, 2, 1]);
        assert_eq!(backends(&loads(&[0], 0), &mut first), [0]);
    }

    #[test]
    fn those_that_did_not_answer_come_after_the_others_and_before_the_full() {
        let mut three = loads(&[0, 1, 2], 2);
        three[0].standing = Standing::Ejected;
        assert_eq!(backends(&three, &mut first), [1, 0, 2]);
        three[1].standing = Standing::Ejected;
        assert_eq!(backends(&three, &mut first), [0, 1, 2]);
        three[1].standing = Standing::Due;
        assert_eq!(backends(&three, &mut first), [1, 0, 2]);
    }

    #[test]
    fn one_that_answers_slowly_gets_fewer() {
        let mut two = loads(&[3, 5], 10);
        two[0].answers_in = Duration::from_micros(300);
        assert_eq!(backends(&two, &mut first), [0, 1], "that is noise");
        two[0].answers_in = Duration::from_millis(20);
        assert_eq!(backends(&two, &mut first), [1, 0]);
    }

    #[test]
    fn all_backends_get_their_share() {
        let (mut seed, mut firsts) = (0_usize, [0; 3]);
        let mut draw = |count: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % count
        };
        for _ in 0..3000 {
            firsts[backends(&loads(&[1, 1, 1], 10), &mut draw)[0]] += 1;
        }
        assert!(
            firsts.iter().all(|count| (800..1200).contains(count)),
            "{firsts:?}"
        );
    }

    fn offer(backends: u32, active: u32, max: u32) -> Other {
        let offer = Some(Offer {
            backends,
            active,
            max,
        });
        Other {
            offer,
            verdict: None,
        }
    }

    #[test]
    fn hosts_that_said_no_come_late() {
        use Verdict::{Busy, Nothing, Served, Unreachable};
        let known = [
            Some(Unreachable),
            Some(Nothing),
            Some(Busy),
            None,
            Some(Served),
        ]
        .map(|verdict| Other {
            offer: None,
            verdict,
        });
        assert_eq!(others(&known, &mut first), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn the_host_whose_backends_have_less_to_do_comes_first() {
        let check = |known: &[Other], expected: &[usize]| {
            assert_eq!(others(known, &mut first), expected, "{known:?}");
        };
        check(&[offer(1, 5, 10), offer(1, 3, 10)], &[1, 0]);
        check(&[offer(2, 8, 10), offer(1, 5, 10)], &[0, 1]);
        check(&[offer(1, 10, 10), offer(1, 9, 10)], &[1, 0]);
        let failed = Other {
            verdict: Some(Verdict::Unreachable),
            ..offer(1, 0, 10)
        };
        check(&[failed, offer(1, 10, 10)], &[1, 0]);
    }

    #[test]
    fn other_hosts_help_one_that_has_twice_as_much_to_do() {
        let check = |active: u32, others: &[Other], expected: bool| {
            let offers = others.iter().filter_map(|other| other.offer);
            assert_eq!(
                is_overloaded(active, offers),
                expected,
                "{active} {others:?}"
            );
        };
        check(31, &[offer(1, 0, 10)], false);
        check(32, &[offer(1, 0, 10)], true);
        check(32, &[offer(1, 16, 100)], false);
        check(32, &[offer(2, 31, 100)], true);
        check(100, &[offer(1, 0, 0)], false);
        check(100, &[], false);
    }

    #[test]
    fn memories_fade() {
        let start = Instant::now();
        let peer: SocketAddr = "10.0.0.2:32767".parse().unwrap();
        let mut memory = Memory::default();
        memory.note(61000, peer, Verdict::Busy, start);
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(memory.recall(61000, peer, after(999)), Some(Verdict::Busy));
        assert_eq!(memory.recall(61000, peer, after(1000)), None);
        assert_eq!(memory.recall(61001, peer, start), None);
        memory.forget_old(after(1000));
        assert!(memory.0.is_empty());
    }
}
