//! How often something took how long.

use std::time::Duration;

use super::Counter;

/// The upper ends of the buckets in microseconds, ascending, and as they are written, in seconds. What takes longer
/// than the last is only counted.
pub(crate) const BUCKETS: [(u64, &str); 13] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
];

/// Times that were counted by their length. One writer.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// By bucket, not yet added up; those that took longer come last.
    counts: [Counter; BUCKETS.len() + 1],
    sum_us: Counter,
}

/// What histograms say together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) counts: [u64; BUCKETS.len() + 1],
    pub(crate) sum_us: u64,
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BUCKETS.partition_point(|(end, _)| *end < us);
        if let Some(count) = self.counts.get(place) {
            count.count();
        }
        self.sum_us.add(us);
    }

    pub(crate) fn add_to(&self, sum: &mut Sum) {
        for (sum, count) in sum.counts.iter_mut().zip(&self.counts) {
            *sum += count.get();
        }
        sum.sum_us += self.sum_us.get();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_where_it_belongs() {
        let check = |us: u64, place: usize| {
            let (histogram, mut sum) = (Histogram::default(), Sum::default());
            histogram.record(Duration::from_micros(us));
            histogram.add_to(&mut sum);
            let found = sum.counts.iter().position(|count| *count == 1);
            assert_eq!((found, sum.sum_us), (Some(place), us), "{us}");
        };
        check(0, 0);
        check(100, 0);
        check(101, 1);
        check(1_000_000, 12);
        check(1_000_001, 13);
    }
}
