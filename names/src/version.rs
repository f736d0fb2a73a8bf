//! The version of a pod: `MAJOR.MINOR.PATCH[-tag]`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The version of a pod. Ordered by its three numbers; a version with a tag is a pre-release and comes
/// before the same version without one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodVersion {
    numbers: [u32; 3],
    tag: Option<String>,
}

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a version: expected MAJOR.MINOR.PATCH and perhaps `-tag` of lower-case letters, digits, `.` and `-`, as in 1.0.0 or 1.2.0-rc1"
)]
pub struct VersionError(String);

impl PodVersion {
    /// True for a version with a tag (`1.0.0-rc1`), which is never chosen as `latest`.
    #[must_use]
    pub fn is_pre_release(&self) -> bool {
        self.tag.is_some()
    }
}

impl FromStr for PodVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        parse(text).ok_or_else(|| VersionError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<PodVersion> {
    let (numbers, tag) = match text.split_once('-') {
        Some((numbers, tag)) => (numbers, Some(tag)),
        None => (text, None),
    };
    let mut parts = numbers.split('.');
    let numbers = [
        number(parts.next()?)?,
        number(parts.next()?)?,
        number(parts.next()?)?,
    ];
    let tag_is_fine = tag.is_none_or(|tag| {
        (1..=40).contains(&tag.len())
            && tag
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
    });
    (parts.next().is_none() && tag_is_fine).then(|| PodVersion {
        numbers,
        tag: tag.map(str::to_owned),
    })
}

/// A number in its one spelling: `01` would be a second name for the same directory.
fn number(text: &str) -> Option<u32> {
    let spelled_once = text == "0" || !text.starts_with('0');
    (spelled_once && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

impl fmt::Display for PodVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, "-{tag}"))
    }
}

impl PartialOrd for PodVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PodVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| match (&self.tag, &other.tag) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(mine), Some(theirs)) => mine.cmp(theirs),
            })
    }
}

crate::serde_as_text!(PodVersion);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_and_bad() {
        for text in ["0.0.1", "1.0.0", "10.20.30-rc.1-a"] {
            assert_eq!(text.parse::<PodVersion>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "1.0.0-",
            "1.0.0-RC",
            "01.0.0",
            "1.0.x",
            "1.0.0-a/b",
            "v1.0.0",
            "+1.0.0",
        ] {
            assert!(text.parse::<PodVersion>().is_err(), "`{text}` was accepted");
        }
    }

    #[test]
    fn pre_releases_come_before_their_release() {
        let mut versions: Vec<PodVersion> = ["1.0.0", "0.9.10", "1.0.0-rc1", "0.9.9"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        versions.sort();
        let sorted: Vec<String> = versions.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["0.9.9", "0.9.10", "1.0.0-rc1", "1.0.0"]);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_version_is_spelled_one_way(text in "\\PC{0,20}") {
            if let Ok(version) = text.parse::<PodVersion>() {
                prop_assert_eq!(version.to_string(), text);
            }
        }
    }
}
