//! Ports that leave the pod, and the rules by which the ingress leads to them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use names::{AcceptProxy, ClusterPort, HostPort, SendProxy};
use serde::{Deserialize, Serialize};

use super::headers;

/// Connections that a port takes at the same time when its pod.yaml names no `maxConn`.
pub(crate) const MAX_CONN: u32 = 4096;

/// One port that is reachable from outside the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expose {
    /// The port that the unit listens on, inside; none where nothing listens, because the entry has
    /// only ingress rules that answer by themselves (redirects, error pages).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
    /// The port of the host that leads to it; without one a unit in a network of its own is reached there only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<HostPort>,
    /// The address of the host that the port is bound to; none means the host's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_interface: Option<IpAddr>,
    /// The port that leads to it from everywhere in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_port: Option<ClusterPort>,
    /// Connections at the same time, at least 1.
    pub max_conn: u32,
    /// Which header of the PROXY protocol the unit wants.
    #[serde(default, with = "headers::send")]
    pub send_proxy: SendProxy,
    /// What those bring who connect to the cluster port.
    #[serde(default, with = "headers::accept", skip_serializing_if = "is_optional")]
    pub accept_proxy: AcceptProxy,
    /// Rules by which the ingress leads here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<IngressRule>,
}

fn is_optional(accept: &AcceptProxy) -> bool {
    *accept == AcceptProxy::Optional
}

/// One rule of the ingress. All criteria must hold; within one list, one entry must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressRule {
    /// What is spoken.
    pub protocol: Protocol,
    /// The port that the ingress listens on.
    pub bind: u16,
    /// Names of the site, as the author wrote them; `*.x.com` matches all below it, none means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Exact paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Beginnings of the path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path_beg: Vec<String>,
    /// Ends of the path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path_end: Vec<String>,
    /// Rules with more weight are tried first.
    pub weight: i32,
    /// What happens to a request that fits.
    pub action: IngressAction,
}

/// What an ingress rule speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP.
    Http,
    /// HTTP over TLS, decrypted by the ingress.
    Https,
    /// TLS that is passed on unread; its server name tells the domain.
    Tcp,
}

impl Protocol {
    /// All protocols, in the order in which they are listed to people.
    pub const ALL: [Self; 3] = [Self::Http, Self::Https, Self::Tcp];

    /// The word in a pod.yaml and in a `pod.ingress.conf`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
        }
    }

    /// The port that the ingress listens on when the rule does not say; `tcp` has none.
    #[must_use]
    pub fn bind_default(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Tcp => None,
        }
    }
}

/// A text that is no protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a protocol: expected http, https or tcp")]
pub struct ProtocolError(String);

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        Self::ALL
            .into_iter()
            .find(|word| word.as_str() == text)
            .ok_or_else(|| ProtocolError(text.to_owned()))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happens to a request that fits a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum IngressAction {
    /// It goes to the unit, through the cluster port.
    Server,
    /// It is answered with a redirect to the same address with https.
    RedirectToHttps,
    /// It is answered with a redirect to this address.
    RedirectLocation(String),
    /// It is answered with a redirect to this prefix and the path that was asked for.
    RedirectPrefix(String),
    /// It is answered with an error page.
    ErrorFile {
        /// The HTTP status.
        code: u16,
        /// The page, as a path that the ingress can read.
        path: String,
    },
}
