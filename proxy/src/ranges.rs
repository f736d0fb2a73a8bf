//! A set of ports, written as ports and ranges: `1024-29999,61000`.
//!
//! Pure. It knows nothing about what the ports are for.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// Ports and ranges of ports. The default is every number that a cluster port can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges(Vec<RangeInclusive<u16>>);

/// Why a text is not a list of ports and ranges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a range: write ports from 1 to 65535 and ranges, such as 1024-29999,61000")]
pub struct RangeError(String);

impl Default for Ranges {
    fn default() -> Self {
        Self(vec![1024..=29999, 32768..=65535])
    }
}

impl Ranges {
    /// True when the port is in one of the ranges.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

impl FromStr for Ranges {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let range = |item: &str| {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
                (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(first..=last),
                _ => Err(RangeError(item.trim().to_owned())),
            }
        };
        text.split(',')
            .map(range)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let ranges: Ranges = "61000-65535, 1024 ,2000 - 2001".parse().unwrap();
        for (port, inside) in [
            (1024, true),
            (1025, false),
            (2001, true),
            (60999, false),
            (65535, true),
        ] {
            assert_eq!(ranges.contains(port), inside, "{port}");
        }
        for text in [
            "", ",", "1,", "0", "0-5", "5-4", "65536", "1-2-3", "a", "-5", "5-",
        ] {
            assert!(text.parse::<Ranges>().is_err(), "`{text}` was accepted");
        }
    }
}
