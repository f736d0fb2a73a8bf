//! Host ports and cluster ports: both are TCP ports, and never the same thing.

use std::fmt;
use std::str::FromStr;

/// Why a number is not the port that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: expected {rule}")]
pub struct PortError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

macro_rules! port_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u16);

        impl $name {
            /// What the number must be, for messages.
            pub const RULE: &'static str = $rule;

            /// A port from its number.
            ///
            /// # Errors
            /// The number breaks [`Self::RULE`].
            pub fn new(number: u16) -> Result<Self, PortError> {
                let check: fn(u16) -> bool = $check;
                if check(number) {
                    Ok(Self(number))
                } else {
                    Err(PortError { text: number.to_string(), what: $what, rule: Self::RULE })
                }
            }

            /// The number of the port.
            #[must_use]
            pub fn get(self) -> u16 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = PortError;

            fn from_str(text: &str) -> Result<Self, PortError> {
                let refused = || PortError { text: text.to_owned(), what: $what, rule: Self::RULE };
                if !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(refused());
                }
                Self::new(text.parse().map_err(|_| refused())?)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u16(self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(u16::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

port_type! {
    /// A port that a pod's unit is reached by on its own host.
    HostPort,
    "host port",
    "a number from 1 to 65535",
    |number| number != 0
}

port_type! {
    /// A port that a pod is reached by from anywhere in the cluster, at `proxy:clusterPort`.
    ClusterPort,
    "cluster port",
    "a number from 1024 to 65535, but not from 30000 to 32767 (those are host ports)",
    |number| number >= 1024 && !(30000..=32767).contains(&number)
}

impl ClusterPort {
    /// First port that ingress rules may not lead to: from here on ports are for the inside only.
    pub const FIRST_INTERNAL: u16 = 64000;

    /// True for ports that may not be reached from the Internet.
    #[must_use]
    pub fn is_internal(self) -> bool {
        self.0 >= Self::FIRST_INTERNAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports() {
        assert_eq!("30000".parse::<HostPort>().unwrap().get(), 30000);
        for text in ["0", "65536", "-1", "+80", " 80", "", "http"] {
            assert!(text.parse::<HostPort>().is_err(), "`{text}` was accepted");
        }
    }

    #[test]
    fn cluster_ports_leave_the_host_ports_out() {
        for number in [1024, 29999, 32768, 61000, 65535] {
            assert_eq!(ClusterPort::new(number).unwrap().get(), number);
        }
        for number in [0, 80, 1023, 30000, 32767] {
            assert!(ClusterPort::new(number).is_err(), "{number} was accepted");
        }
        assert!(ClusterPort::new(64000).unwrap().is_internal());
    }
}
