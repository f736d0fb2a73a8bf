//! Finds the pods with which a call fails: a group that fails is halved until the guilty ones are alone.
//!
//! Pure: it knows neither pods nor plugins. Whoever asks keeps what the calls that succeeded have brought.

/// A search for what makes calls fail.
#[derive(Debug)]
pub(super) struct Halving<T, E> {
    /// Groups that were not asked about yet; the next one is the last.
    open: Vec<Vec<T>>,
    poisonous: Vec<(T, E)>,
    calls_left: u32,
}

impl<T: Clone, E> Halving<T, E> {
    /// A search in these groups, which makes so many calls at most.
    #[must_use]
    pub(super) fn new(mut groups: Vec<Vec<T>>, calls_max: u32) -> Self {
        groups.retain(|group| !group.is_empty());
        groups.reverse();
        Self {
            open: groups,
            poisonous: Vec::new(),
            calls_left: calls_max,
        }
    }

    /// The next group to ask about; none when nothing is left, or when all calls are used up.
    pub(super) fn next_group(&mut self) -> Option<Vec<T>> {
        if self.open.is_empty() {
            return None;
        }
        self.calls_left = self.calls_left.checked_sub(1)?;
        self.open.pop()
    }

    /// The call about this group has failed.
    pub(super) fn failed(&mut self, mut group: Vec<T>, error: E) {
        let second = group.split_off(group.len() / 2);
        if group.is_empty() {
            // Groups are never empty, so there is exactly one.
            let alone = second.into_iter().next();
            self.poisonous.extend(alone.map(|alone| (alone, error)));
            return;
        }
        self.open.push(second);
        self.open.push(group);
    }

    /// Those that fail alone, each with its error, and those that no call was left for.
    #[must_use]
    pub(super) fn found(self) -> (Vec<(T, E)>, Vec<T>) {
        (self.poisonous, self.open.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    /// Healthy ones, guilty ones, those that were not asked about, and the calls that it took.
    type Outcome = (BTreeSet<u32>, BTreeSet<u32>, BTreeSet<u32>, u32);

    fn search(groups: Vec<Vec<u32>>, poison: &BTreeSet<u32>, calls_max: u32) -> Outcome {
        let mut halving = Halving::new(groups, calls_max);
        let (mut healthy, mut calls) = (BTreeSet::new(), 0);
        while let Some(group) = halving.next_group() {
            calls += 1;
            match group.iter().find(|one| poison.contains(one)) {
                Some(_) => halving.failed(group, "poison"),
                None => healthy.extend(group),
            }
        }
        let (guilty, unasked) = halving.found();
        let guilty = guilty.into_iter().map(|(one, _)| one).collect();
        (healthy, guilty, unasked.into_iter().collect(), calls)
    }

    #[test]
    fn the_guilty_are_found_and_the_others_answered() {
        let check = |count: u32, poison: &[u32], calls: u32| {
            let poison: BTreeSet<u32> = poison.iter().copied().collect();
            let (healthy, guilty, unasked, asked) =
                search(vec![(0..count).collect()], &poison, u32::MAX);
            assert_eq!(guilty, poison);
            assert_eq!(healthy.len() + guilty.len(), count as usize);
            assert_eq!((unasked.len(), asked), (0, calls), "{count} {poison:?}");
        };
        check(0, &[], 0);
        check(1, &[], 1);
        check(1, &[0], 1);
        check(2, &[1], 3);
        check(50, &[], 1);
        check(50, &[7], 13);
        check(50, &[0, 49], 21);
        check(4, &[0, 1, 2, 3], 7);
    }

    #[test]
    fn one_that_is_suspected_is_asked_about_alone() {
        let poison = BTreeSet::from([9]);
        let (healthy, guilty, _, calls) =
            search(vec![vec![1, 2, 3], vec![9], Vec::new()], &poison, 10);
        assert_eq!((healthy.len(), guilty, calls), (3, poison, 2));
    }

    #[test]
    fn no_more_calls_are_made_than_allowed() {
        let all: Vec<u32> = (0..64).collect();
        let poison = all.iter().copied().collect();
        let (healthy, guilty, unasked, calls) = search(vec![all], &poison, 10);
        assert_eq!(calls, 10);
        assert!(healthy.is_empty());
        assert_eq!(guilty.len() + unasked.len(), 64);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(testkit::soak::count(5_000)))]

        #[test]
        fn every_healthy_one_is_answered_in_few_calls(
            count in 1_u32..300,
            poison in btree_set(0_u32..300, 0..8),
        ) {
            let poison: BTreeSet<u32> = poison.into_iter().filter(|one| *one < count).collect();
            let all: Vec<u32> = (0..count).collect();
            let (healthy, guilty, unasked, calls) = search(vec![all.clone()], &poison, u32::MAX);
            prop_assert_eq!(&guilty, &poison);
            prop_assert!(unasked.is_empty());
            prop_assert_eq!(healthy, all.into_iter().filter(|one| !poison.contains(one)).collect());
            let depth = count.next_power_of_two().ilog2();
            let guilty = u32::try_from(poison.len()).unwrap();
            prop_assert!(calls <= 2 * depth * guilty + 1, "{} calls", calls);
        }
    }
}
