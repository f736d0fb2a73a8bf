//! How pods are named on the command line: `POD[:VERSION][@HOST]`.

use std::fmt;
use std::str::FromStr;

use names::{HostName, PodName, PodVersion};

/// Which version of a pod is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// None was named.
    Unsaid,
    /// `latest`: the highest version that is no pre-release.
    Latest,
    /// This one.
    Exact(PodVersion),
}

/// A pod, perhaps one version of it, perhaps on one host only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Designation {
    /// The pod.
    pub(crate) pod: PodName,
    /// Which version of it.
    pub(crate) version: Version,
    /// The host, or every host that it is attached to.
    pub(crate) host: Option<HostName>,
}

/// A pod on one host: `POD@HOST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodAtHost {
    /// The pod.
    pub(crate) pod: PodName,
    /// The host.
    pub(crate) host: HostName,
}

impl FromStr for Designation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, host) = match text.split_once('@') {
            Some((rest, host)) => (
                rest,
                Some(
                    host.parse()
                        .map_err(|error: names::NameError| error.to_string())?,
                ),
            ),
            None => (text, None),
        };
        let (pod, version) = match rest.split_once(':') {
            Some((pod, "latest")) => (pod, Version::Latest),
            Some((pod, version)) => (
                pod,
                Version::Exact(
                    version
                        .parse()
                        .map_err(|error: names::VersionError| error.to_string())?,
                ),
            ),
            None => (rest, Version::Unsaid),
        };
        Ok(Self {
            pod: pod
                .parse()
                .map_err(|error: names::NameError| error.to_string())?,
            version,
            host,
        })
    }
}

impl FromStr for PodAtHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named: Designation = text.parse()?;
        match named {
            Designation {
                pod,
                version: Version::Unsaid,
                host: Some(host),
            } => Ok(Self { pod, host }),
            _ => Err("expected POD@HOST, as in web@laptop".to_owned()),
        }
    }
}

impl fmt::Display for Designation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.pod)?;
        match &self.version {
            Version::Unsaid => {}
            Version::Latest => write!(f, ":latest")?,
            Version::Exact(version) => write!(f, ":{version}")?,
        }
        self.host
            .as_ref()
            .map_or(Ok(()), |host| write!(f, "@{host}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_goes_both_ways() {
        for text in [
            "web",
            "web:1.0.0",
            "web@laptop",
            "web:latest@lb-1",
            "web:1.0.0-rc1@lb-1",
        ] {
            assert_eq!(text.parse::<Designation>().unwrap().to_string(), text);
        }
        for text in [
            "", "Web", "web:", "web:1", "web@", "web@pods", "@laptop", ":1.0.0", "web@a@b",
        ] {
            assert!(
                text.parse::<Designation>().is_err(),
                "`{text}` was accepted"
            );
        }
    }

    #[test]
    fn a_pod_at_a_host_has_both_and_no_version() {
        assert_eq!(
            "web@laptop".parse::<PodAtHost>().unwrap().host.as_str(),
            "laptop"
        );
        for text in ["web", "web:1.0.0@laptop", "laptop@"] {
            assert!(text.parse::<PodAtHost>().is_err(), "`{text}` was accepted");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(testkit::soak::count(2000)))]

        #[test]
        fn no_text_panics_and_every_designation_is_spelled_one_way(text in "[a-z:@.0-9A-Z_-]{0,20}|\\PC{0,20}") {
            if let Ok(named) = text.parse::<Designation>() {
                prop_assert_eq!(named.to_string(), text);
            }
        }
    }
}
