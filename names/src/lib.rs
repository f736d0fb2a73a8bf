//! The words that everything else speaks in: pod, release, unit and host names, versions, ports,
//! what a port says about its clients' headers, signals and the wanted state of a release.
//!
//! Each is parsed once, at the edge, and carried as a type from there on, so a pod name can never be
//! a path and a host port can never be taken for a cluster port. This crate knows no file, no format
//! and no other crate of the project.

mod port;
mod proxy_header;
mod release;
mod signal;
mod state;
mod version;
mod word;

pub use port::{ClusterPort, HostPort, PortError};
pub use proxy_header::{AcceptProxy, SendProxy};
pub use release::{ReleaseError, ReleaseId};
pub use signal::{SignalError, SignalName};
pub use state::{PodState, StateError};
pub use version::{PodVersion, VersionError};
pub use word::{HostName, NameError, PodName, SecretName, UnitName, VolumeName};

/// Serialises a type as the text of its `Display` and reads it back through its `FromStr`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;
