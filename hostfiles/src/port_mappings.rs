//! `portmappings.conf` of a host and `pod.portmappings.conf` of a release: which cluster port leads to
//! which host port. Written by the daemon and by `sns pod compile`, read by the proxy.
//!
//! Written one mapping per line, and as one empty line when there is none, as the original did; read
//! with any white space between mappings, because its daemon left several on a line.

use std::fmt;
use std::str::FromStr;

use names::{ClusterPort, HostPort};

use crate::{Format, FormatError};

/// One way into a pod, written `clusterPort:hostPort:maxConn:sendProxy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMapping {
    /// The port by which the cluster knows the pod.
    pub cluster_port: ClusterPort,
    /// The port on this host that leads into the pod.
    pub host_port: HostPort,
    /// Most connections at a time.
    pub max_conn: u32,
    /// Whether the pod wants a PROXY protocol header in front of each connection.
    pub send_proxy: bool,
}

const EXPECTED: &str = "clusterPort:hostPort:maxConn:sendProxy, as in 61000:30000:4096:false";

impl FromStr for PortMapping {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Self, FormatError> {
        let refused =
            |why: &str| FormatError::whole::<PortMappings>(word, format!("{EXPECTED} ({why})"));
        let mut fields = word.split(':');
        let (Some(cluster_port), Some(host_port), Some(max_conn), Some(send_proxy), None) = (
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
        ) else {
            return Err(refused("four fields"));
        };
        Ok(Self {
            cluster_port: cluster_port
                .parse()
                .map_err(|_| refused(ClusterPort::RULE))?,
            host_port: host_port.parse().map_err(|_| refused(HostPort::RULE))?,
            max_conn: max_conn
                .parse()
                .map_err(|_| refused("maxConn is a number"))?,
            send_proxy: send_proxy
                .parse()
                .map_err(|_| refused("sendProxy is true or false"))?,
        })
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}:{}",
            self.cluster_port, self.host_port, self.max_conn, self.send_proxy
        )
    }
}

/// All mappings of a host, or of one release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortMappings(pub Vec<PortMapping>);

impl PortMappings {
    /// The mappings of several releases as one file: sorted, each once, so that equal mappings give
    /// equal bytes.
    #[must_use]
    pub fn merged(mappings: impl IntoIterator<Item = PortMapping>) -> Self {
        let mut mappings: Vec<PortMapping> = mappings.into_iter().collect();
        mappings.sort_unstable();
        mappings.dedup();
        Self(mappings)
    }
}

impl Format for PortMappings {
    const NAME: &'static str = "portmappings.conf";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut mappings = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            for word in line.split_whitespace() {
                let mapping = word.parse().map_err(|error| FormatError {
                    line: Some(number),
                    ..error
                });
                mappings.push(mapping?);
            }
        }
        Ok(Self(mappings))
    }

    fn to_text(&self) -> String {
        if self.0.is_empty() {
            return "\n".to_owned();
        }
        self.0
            .iter()
            .map(|mapping| format!("{mapping}\n"))
            .collect()
    }
}
