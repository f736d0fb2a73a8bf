//! What a port says about the header of the PROXY protocol, which names the real client in front of a connection:
//! what its clients bring, and what it wants itself. Files and pod.yaml have words of their own for it.

use serde::{Deserialize, Serialize};

/// What the first bytes of a client are.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum AcceptProxy {
    /// A header, or what the client has to say.
    #[default]
    Optional,
    /// A header: whoever brings none is not served.
    Required,
    /// What the client has to say, whatever it looks like.
    Absent,
}

impl AcceptProxy {
    /// All of them, in the order in which they are listed to people.
    pub const ALL: [Self; 3] = [Self::Optional, Self::Required, Self::Absent];
}

/// Which header a port wants in front of each connection.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum SendProxy {
    /// None.
    #[default]
    None,
    /// That of version 1, a line of text.
    V1,
    /// That of version 2, which is binary.
    V2,
}

impl SendProxy {
    /// All of them, in the order in which they are listed to people.
    pub const ALL: [Self; 3] = [Self::None, Self::V1, Self::V2];

    /// Whether any header is wanted, which is all that `portmappings.conf` and the original's proxies can say.
    #[must_use]
    pub fn is_wanted(self) -> bool {
        self != Self::None
    }
}
