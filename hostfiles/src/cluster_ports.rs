//! `clusterports.conf`: the cluster ports that exist in the cluster, on which a proxy listens.
//!
//! One per line; empty lines and lines that begin with `#` are skipped. The original had no such file and
//! listened on whole ranges. Which ports exist is decided by whoever writes it.

use names::ClusterPort;

use crate::{Format, FormatError};

/// The cluster ports that exist in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterPorts(pub Vec<ClusterPort>);

impl ClusterPorts {
    /// The ports of several releases as one file: sorted, each once, so that equal ports give equal bytes.
    #[must_use]
    pub fn merged(ports: impl IntoIterator<Item = ClusterPort>) -> Self {
        let mut ports: Vec<ClusterPort> = ports.into_iter().collect();
        ports.sort_unstable();
        ports.dedup();
        Self(ports)
    }
}

impl Format for ClusterPorts {
    const NAME: &'static str = "clusterports.conf";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let mut ports = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let refused = |_| {
                    FormatError::at::<Self>(
                        number,
                        line,
                        format!("a cluster port: {}", ClusterPort::RULE),
                    )
                };
                ports.push(line.parse().map_err(refused)?);
            }
        }
        Ok(Self(ports))
    }

    fn to_text(&self) -> String {
        self.0.iter().map(|port| format!("{port}\n")).collect()
    }
}
