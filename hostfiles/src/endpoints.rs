//! `endpoints.conf` of a host: where the proxy finds a pod inside its own network namespace, beside the host port
//! that `portmappings.conf` names. Written by the daemon, read by the proxy.
//!
//! One line for each mapping of which the process is known. A mapping without a line, or whose process cannot be
//! entered, is dialled at its host port.

use std::fmt;
use std::str::FromStr;

use names::{ClusterPort, HostPort};

use crate::{Format, FormatError};

/// One way to the inside of a pod, written `clusterPort:hostPort:targetPort:pid:startTime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The port by which the cluster knows the pod, as in its mapping.
    pub cluster_port: ClusterPort,
    /// The port on this host that leads there too, as in its mapping.
    pub host_port: HostPort,
    /// The port that the pod listens on, inside.
    pub target_port: u16,
    /// The process whose network namespace it is.
    pub pid: u32,
    /// When that process was started, in clock ticks since boot: field 22 of `/proc/PID/stat`. Another process
    /// that has got the number is never entered.
    pub start_time: u64,
}

const EXPECTED: &str =
    "clusterPort:hostPort:targetPort:pid:startTime, as in 61000:30000:8080:1234:567890";

impl FromStr for Endpoint {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Self, FormatError> {
        let refused =
            |why: &str| FormatError::whole::<Endpoints>(word, format!("{EXPECTED} ({why})"));
        let fields: Vec<&str> = word.split(':').collect();
        let [cluster_port, host_port, target_port, pid, start_time] = fields.as_slice() else {
            return Err(refused("five fields"));
        };
        let target_port = match target_port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(refused("a target port is a number from 1 to 65535")),
        };
        Ok(Self {
            cluster_port: cluster_port
                .parse()
                .map_err(|_| refused(ClusterPort::RULE))?,
            host_port: host_port.parse().map_err(|_| refused(HostPort::RULE))?,
            target_port,
            pid: pid.parse().map_err(|_| refused("pid is a number"))?,
            start_time: start_time
                .parse()
                .map_err(|_| refused("startTime is a number"))?,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}:{}:{}",
            self.cluster_port, self.host_port, self.target_port, self.pid, self.start_time
        )
    }
}

/// All endpoints of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints(pub Vec<Endpoint>);

impl Endpoints {
    /// The endpoints of several releases as one file: sorted, each once, so that equal endpoints give equal
    /// bytes.
    #[must_use]
    pub fn merged(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let mut endpoints: Vec<Endpoint> = endpoints.into_iter().collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        Self(endpoints)
    }
}

impl Format for Endpoints {
    const NAME: &'static str = "endpoints.conf";

    fn parse(text: &str) -> Result<Self, FormatError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty());
        let endpoint = |(number, line): (usize, &str)| {
            line.parse().map_err(|error| FormatError {
                line: Some(number),
                ..error
            })
        };
        lines.map(endpoint).collect::<Result<_, _>>().map(Self)
    }

    fn to_text(&self) -> String {
        let lines = self.0.iter().map(|endpoint| format!("{endpoint}\n"));
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_both_ways() {
        let text = "61000:30000:8080:1234:567890\n61001:30001:80:99:1\n";
        let endpoints = Endpoints::parse(text).unwrap();
        assert_eq!(endpoints.to_text(), text);
        assert_eq!(endpoints.0[0].target_port, 8080);
        let reversed = endpoints.0.iter().rev().chain(&endpoints.0).copied();
        assert_eq!(Endpoints::merged(reversed), endpoints);
        assert_eq!(Endpoints::parse("\n \n").unwrap(), Endpoints::default());
        assert_eq!(Endpoints::default().to_text(), "");
    }

    #[test]
    fn what_is_not_an_endpoint_is_told_with_its_line() {
        for wrong in [
            "61000:30000:8080:1234",
            "61000:30000:8080:1234:5:6",
            "80:30000:8080:1234:5",
            "61000:x:8080:1234:5",
            "61000:30000:0:1234:5",
            "61000:30000:8080:-1:5",
            "61000:30000:8080:1:soon",
        ] {
            let text = format!("61000:30000:8080:1234:5\n{wrong}\n");
            let error = Endpoints::parse(&text).unwrap_err();
            assert_eq!((error.line, error.found.as_str()), (Some(2), wrong));
        }
    }
}
