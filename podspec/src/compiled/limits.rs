//! What a unit may use at most. Nothing is written where nothing is limited.

use serde::{Deserialize, Serialize};

/// What one unit may use at most, with everything that it starts. None means: as much as there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Bytes of memory, swap space included; a unit that needs more is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Thousandths of a CPU; a unit that wants more is slowed down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u32>,
    /// Processes and threads; to start one more fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

impl Limits {
    /// True when nothing is limited.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Bytes as a pod.yaml may have them: `256M`, `3G`, `1000000`.
    #[must_use]
    pub fn size(bytes: u64) -> String {
        let exact = |(unit, shift): &(char, u32)| {
            let count = bytes >> shift;
            (count > 0 && count << shift == bytes).then(|| format!("{count}{unit}"))
        };
        let found = SIZE_UNITS.iter().rev().find_map(exact);
        found.unwrap_or_else(|| bytes.to_string())
    }
}

/// The units of sizes, with the power of two that each stands for.
pub(crate) const SIZE_UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_greatest_unit_that_fits() {
        let check = |bytes, expected: &str| assert_eq!(Limits::size(bytes), expected);
        check(268_435_456, "256M");
        check(1 << 30, "1G");
        check(3 << 40, "3T");
        check(1_000_000, "1000000");
        check(1_024_000, "1000K");
        check(0, "0");
    }
}
