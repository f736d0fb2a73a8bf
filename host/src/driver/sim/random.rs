//! Decisions from a seed, and which sorts of faults there are.

use std::fmt;

/// A generator of numbers that are the same for the same seed everywhere (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    /// Mostly a moment, sometimes long.
    pub(super) fn pause_ms(&mut self) -> u64 {
        let most = self.one_of(&[1, 1, 50, 3_000, 20_000, 100_000]);
        self.below(most)
    }
}

/// Sorts of faults that a history may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Faults(u16);

impl Faults {
    pub(super) const KILLED_DAEMON: Self = Self(1);
    pub(super) const FAILED_OPERATION: Self = Self(1 << 1);
    pub(super) const LOST_OPERATION: Self = Self(1 << 2);
    pub(super) const FULL_DISK: Self = Self(1 << 3);
    pub(super) const ENDED_UNIT: Self = Self(1 << 4);
    pub(super) const STUBBORN_UNIT: Self = Self(1 << 5);
    pub(super) const FAILED_PROBE: Self = Self(1 << 6);
    pub(super) const REQUEST: Self = Self(1 << 7);
    pub(super) const TAKEN_AWAY: Self = Self(1 << 8);
    pub(super) const OTHER_POD: Self = Self(1 << 9);
    pub(super) const TORN_POD: Self = Self(1 << 10);
    pub(super) const OTHER_CONFIG: Self = Self(1 << 11);
    pub(super) const ALL: Self = Self((1 << 12) - 1);
    pub(super) const EACH: [Self; 12] = [
        Self::KILLED_DAEMON,
        Self::FAILED_OPERATION,
        Self::LOST_OPERATION,
        Self::FULL_DISK,
        Self::ENDED_UNIT,
        Self::STUBBORN_UNIT,
        Self::FAILED_PROBE,
        Self::REQUEST,
        Self::TAKEN_AWAY,
        Self::OTHER_POD,
        Self::TORN_POD,
        Self::OTHER_CONFIG,
    ];
    const NAMES: [&str; 12] = [
        "killed daemon",
        "failed operation",
        "lost operation",
        "full disk",
        "ended unit",
        "stubborn unit",
        "failed probe",
        "request",
        "taken away",
        "other pod",
        "torn pod",
        "other config",
    ];
    pub(super) const NONE: Self = Self(0);

    pub(super) fn has(self, fault: Self) -> bool {
        self.0 & fault.0 != 0
    }

    pub(super) fn without(self, fault: Self) -> Self {
        Self(self.0 & !fault.0)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::EACH.iter().zip(Self::NAMES);
        let names = named.filter_map(|(fault, name)| self.has(*fault).then_some(name));
        formatter.debug_set().entries(names).finish()
    }
}
