//! `endpoints.conf` of a host: everything that our own proxy has to know of each slot that is ready. Written by the
//! daemon, read by the proxy; `portmappings.conf` beside it keeps the four fields of the original.
//!
//! One line for each slot, of words `key=value`. A reader skips keys that it does not know, so a word can be added;
//! what it must not overlook needs a file of another name.

use std::fmt;
use std::str::FromStr;

use names::{AcceptProxy, ClusterPort, HostPort, SendProxy};

use crate::{Format, FormatError, PortMapping};

/// One way into a pod that is ready, from outside, from inside its own network, or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The port by which the cluster knows the pod.
    pub cluster_port: ClusterPort,
    /// The port on this host that leads into the pod; none where it is reached inside only.
    pub host_port: Option<HostPort>,
    /// Where it is inside; none for a pod in the network of the host.
    pub inside: Option<Inside>,
    /// Most connections at a time.
    pub max_conn: u32,
    /// What its clients bring.
    pub accept: AcceptProxy,
    /// Which header it wants.
    pub send: SendProxy,
    /// Whose it is, `POD-VERSION`, for people.
    pub pod: Option<String>,
}

/// Where a pod listens in a network of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inside {
    /// The port that it listens on there.
    pub target_port: u16,
    /// The process whose network namespace it is.
    pub pid: u32,
    /// When that process was started, in clock ticks since boot: field 22 of `/proc/PID/stat`. Another process
    /// that has got the number is never entered.
    pub start_time: u64,
}

/// As much as a mapping says: a pod that is dialled at its host port, whose clients may bring a header.
impl From<PortMapping> for Endpoint {
    fn from(mapping: PortMapping) -> Self {
        Self {
            cluster_port: mapping.cluster_port,
            host_port: Some(mapping.host_port),
            inside: None,
            max_conn: mapping.max_conn,
            accept: AcceptProxy::default(),
            send: if mapping.send_proxy {
                SendProxy::V1
            } else {
                SendProxy::None
            },
            pod: None,
        }
    }
}

const EXPECTED: &str = "words as in `cluster=61000 host=30000 target=8080 pid=1234 start=567890 max=100 in=optional \
                        out=none pod=web-1.0.0`";

/// The keys of a line, in the order in which they are written.
const KEYS: [&str; 9] = [
    "cluster", "host", "target", "pid", "start", "max", "in", "out", "pod",
];

impl FromStr for Endpoint {
    type Err = FormatError;

    fn from_str(line: &str) -> Result<Self, FormatError> {
        let words = Words::of(line)?;
        let (target, pid, start) = (words.get("target"), words.get("pid"), words.get("start"));
        let inside = match (target, pid, start) {
            (None, None, None) => None,
            (Some(_), Some(_), Some(_)) => {
                let positive = |port: &str| port.parse().ok().filter(|port| *port > 0);
                Some(Inside {
                    target_port: words.read("target", "a number from 1 to 65535", positive)?,
                    pid: words.read("pid", "a number", |text| text.parse().ok())?,
                    start_time: words.read("start", "a number", |text| text.parse().ok())?,
                })
            }
            _ => return Err(refused(line, "target, pid and start stand together")),
        };
        let host_port = words
            .get("host")
            .map(|_| words.read("host", HostPort::RULE, |text| text.parse().ok()))
            .transpose()?;
        if host_port.is_none() && inside.is_none() {
            return Err(refused(line, "host or pid is missing: nothing leads there"));
        }
        let accept = |text: &str| AcceptProxy::ALL.into_iter().find(|a| accept(*a) == text);
        let send = |text: &str| SendProxy::ALL.into_iter().find(|s| send(*s) == text);
        Ok(Self {
            cluster_port: words.read("cluster", ClusterPort::RULE, |text| text.parse().ok())?,
            host_port,
            inside,
            max_conn: words.read("max", "a number", |text| text.parse().ok())?,
            accept: words.read_or_default("in", "optional, required or absent", accept)?,
            send: words.read_or_default("out", "none, v1 or v2", send)?,
            pod: words.get("pod").map(str::to_owned),
        })
    }
}

fn refused(line: &str, why: &str) -> FormatError {
    FormatError::whole::<Endpoints>(line, format!("{EXPECTED} ({why})"))
}

/// The words of one line that are known, each at most once.
struct Words<'a> {
    line: &'a str,
    values: [Option<&'a str>; KEYS.len()],
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Result<Self, FormatError> {
        let mut values = [None; KEYS.len()];
        for word in line.split_whitespace() {
            let Some((key, value)) = word.split_once('=') else {
                return Err(refused(line, "every word is `key=value`"));
            };
            let slot = KEYS
                .into_iter()
                .zip(&mut values)
                .find(|(known, _)| *known == key);
            // A key that is not known is one of a later version.
            let Some((_, slot)) = slot else { continue };
            if slot.is_some() {
                return Err(refused(line, &format!("{key} stands there twice")));
            }
            if value.is_empty() {
                return Err(refused(line, &format!("{key} has no value")));
            }
            *slot = Some(value);
        }
        Ok(Self { line, values })
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        let mut found = KEYS.into_iter().zip(self.values);
        found
            .find(|(known, _)| *known == key)
            .and_then(|(_, value)| value)
    }

    fn read<T>(
        &self,
        key: &str,
        rule: &str,
        understood: impl Fn(&str) -> Option<T>,
    ) -> Result<T, FormatError> {
        let text = self
            .get(key)
            .ok_or_else(|| refused(self.line, &format!("{key} is missing")))?;
        understood(text).ok_or_else(|| refused(self.line, &format!("{key} is {rule}")))
    }

    fn read_or_default<T: Default>(
        &self,
        key: &str,
        rule: &str,
        understood: impl Fn(&str) -> Option<T>,
    ) -> Result<T, FormatError> {
        match self.get(key) {
            Some(_) => self.read(key, rule, understood),
            None => Ok(T::default()),
        }
    }
}

fn accept(accept: AcceptProxy) -> &'static str {
    match accept {
        AcceptProxy::Optional => "optional",
        AcceptProxy::Required => "required",
        AcceptProxy::Absent => "absent",
    }
}

fn send(send: SendProxy) -> &'static str {
    match send {
        SendProxy::None => "none",
        SendProxy::V1 => "v1",
        SendProxy::V2 => "v2",
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster={}", self.cluster_port)?;
        if let Some(port) = self.host_port {
            write!(f, " host={port}")?;
        }
        if let Some(Inside {
            target_port,
            pid,
            start_time,
        }) = self.inside
        {
            write!(f, " target={target_port} pid={pid} start={start_time}")?;
        }
        let (accept, send) = (accept(self.accept), send(self.send));
        write!(f, " max={} in={accept} out={send}", self.max_conn)?;
        if let Some(pod) = &self.pod {
            write!(f, " pod={pod}")?;
        }
        Ok(())
    }
}

/// All slots of a host that are ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints(pub Vec<Endpoint>);

impl Endpoints {
    /// Those of several releases as one file: sorted, each once, so that equal endpoints give equal bytes.
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
        let lines = lines.filter(|(_, line)| !line.is_empty() && !is_former(line));
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

/// A line as daemons wrote it before, `clusterPort:hostPort:targetPort:pid:startTime`. It does not say enough, and
/// there is a mapping for it: it counts as none, lest the file be refused and what it said before stay in force.
fn is_former(line: &str) -> bool {
    let is_number = |field: &str| field.parse::<u64>().is_ok();
    line.split(':').count() == 5 && line.split(':').all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "cluster=61000 host=30000 target=8080 pid=1234 start=567890 max=100 in=required out=v2 \
                         pod=web-1.2.3";

    #[test]
    fn lines_go_both_ways() {
        let text = format!(
            "cluster=61000 host=30000 max=100 in=optional out=none\n{WHOLE}\n\
             cluster=61001 target=80 pid=99 start=1 max=0 in=absent out=v1 pod=a-1.0.0-rc1\n"
        );
        let endpoints = Endpoints::parse(&text).unwrap();
        assert_eq!(endpoints.to_text(), text);
        let [plain, whole, inside] = endpoints.0.as_slice() else {
            panic!("{endpoints:?}");
        };
        assert_eq!((plain.inside, plain.accept), (None, AcceptProxy::Optional));
        assert_eq!(
            plain,
            &"61000:30000:100:false"
                .parse::<PortMapping>()
                .unwrap()
                .into()
        );
        assert_eq!(whole.send, SendProxy::V2);
        assert_eq!(whole.inside.map(|inside| inside.target_port), Some(8080));
        assert_eq!(
            (inside.host_port, inside.accept),
            (None, AcceptProxy::Absent)
        );
        let reversed = endpoints.0.iter().rev().chain(&endpoints.0).cloned();
        assert_eq!(Endpoints::merged(reversed), endpoints);
        assert_eq!(Endpoints::parse("\n \n").unwrap(), Endpoints::default());
        assert_eq!(Endpoints::default().to_text(), "");
    }

    #[test]
    fn the_order_of_words_and_those_of_later_versions_do_not_matter() {
        let line = "max=5 weight=3  cluster=61000\tzone=a/b=c host=30000";
        let expected: PortMapping = "61000:30000:5:false".parse().unwrap();
        assert_eq!(line.parse::<Endpoint>().unwrap(), expected.into());
    }

    #[test]
    fn lines_of_daemons_before_say_nothing() {
        let text = format!("61000:30000:8080:1234:567890\n{WHOLE}\n");
        assert_eq!(
            Endpoints::parse(&text).unwrap().to_text(),
            format!("{WHOLE}\n")
        );
    }

    #[test]
    fn what_is_not_an_endpoint_is_told_with_its_line() {
        for (wrong, why) in [
            ("cluster=61000 host=30000", "max is missing"),
            ("host=30000 max=1", "cluster is missing"),
            ("cluster=61000 max=1", "nothing leads there"),
            (
                "cluster=61000 host=30000 max=1 max=2",
                "max stands there twice",
            ),
            ("cluster=61000 host=30000 max=", "max has no value"),
            ("cluster=61000 host=30000 max=1 fast", "every word"),
            ("cluster=80 host=30000 max=1", "cluster is"),
            ("cluster=61000 host=x max=1", "host is"),
            ("cluster=61000 host=30000 max=-1", "max is"),
            (
                "cluster=61000 host=30000 max=1 in=maybe",
                "in is optional, required",
            ),
            (
                "cluster=61000 host=30000 max=1 out=v3",
                "out is none, v1 or v2",
            ),
            (
                "cluster=61000 host=30000 pid=1 start=1 max=1",
                "stand together",
            ),
            ("cluster=61000 target=0 pid=1 start=1 max=1", "target is"),
            ("cluster=61000 target=1 pid=-1 start=1 max=1", "pid is"),
            ("cluster=61000 target=1 pid=1 start=soon max=1", "start is"),
            ("61000:30000:8080:1234", "every word"),
        ] {
            let error = Endpoints::parse(&format!("{WHOLE}\n{wrong}\n")).unwrap_err();
            assert_eq!((error.line, error.found.as_str()), (Some(2), wrong));
            assert!(error.expected.contains(why), "{wrong}: {error}");
        }
    }
}
