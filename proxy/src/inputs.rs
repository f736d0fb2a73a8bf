//! The files that others write for the proxy: hosts.conf, portmappings.conf, clusterports.conf, endpoints.conf,
//! peers.conf and the keys by which it proves who it is.
//!
//! A file that is missing counts as empty until it appears; one that cannot be read or understood
//! leaves in force what it said before. Each trouble is told once, and once when it is over. This
//! module must not know what the files are used for, or when to read them.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hostfiles::{ClusterPorts, Endpoint, Endpoints, Format, Peer, Peers, PortMappings, Routers};
use names::ClusterPort;
use proxykeys::ProxyKeys;
use zeroize::Zeroizing;

use crate::config::{Config, beside};
use crate::event::{Event, FileNews, Reporter};

/// How a file was found when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// Nobody has looked yet.
    Unknown,
    Fine,
    Missing,
    Refused(String),
}

/// The last good content of one file.
#[derive(Debug)]
pub(crate) struct Followed<T> {
    /// `None` while the file is missing, or was never readable.
    value: Option<T>,
    found: Found,
}

impl<T> Default for Followed<T> {
    fn default() -> Self {
        Self {
            value: None,
            found: Found::Unknown,
        }
    }
}

impl<T: Format> Followed<T> {
    /// Looks at the file.
    fn refresh(&mut self, path: &Path, report: &Reporter) {
        let read = hostfiles::read_if_present(path).map_err(|error| chain(&error));
        self.take(read, path, report);
    }

    /// The same where there may be no such file at all.
    fn refresh_if_named(&mut self, path: Option<&PathBuf>, report: &Reporter) {
        match path {
            Some(path) => self.refresh(path, report),
            None => *self = Self::default(),
        }
    }
}

impl<T> Followed<T> {
    /// Takes what was read, and tells of trouble.
    fn take(&mut self, read: Result<Option<T>, String>, path: &Path, report: &Reporter) {
        let found = match read {
            Ok(value) => {
                let found = if value.is_some() {
                    Found::Fine
                } else {
                    Found::Missing
                };
                self.value = value;
                found
            }
            Err(why) => Found::Refused(why),
        };
        if found != self.found {
            match &found {
                Found::Fine if self.found == Found::Unknown => {}
                Found::Fine | Found::Unknown => {
                    report(&Event::File(path.to_owned(), FileNews::Fine));
                }
                Found::Missing => report(&Event::File(path.to_owned(), FileNews::Missing)),
                Found::Refused(why) => report(&Event::File(
                    path.to_owned(),
                    FileNews::Refused(why.clone()),
                )),
            }
            self.found = found;
        }
    }
}

/// An error and what caused it, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Where the files are.
#[derive(Debug)]
pub(crate) struct Paths {
    hosts: PathBuf,
    mappings: PathBuf,
    cluster_ports: Option<PathBuf>,
    endpoints: Option<PathBuf>,
    peers: Option<PathBuf>,
    key: Option<PathBuf>,
    /// Where metrics are shown, which is no file to be read.
    pub(crate) metrics: Option<PathBuf>,
}

impl Paths {
    /// Those that the settings in the file `conf` name.
    pub(crate) fn of(conf: &Path, config: &Config) -> Self {
        let path = |path: &PathBuf| beside(conf, path);
        Self {
            hosts: path(&config.hosts_conf),
            mappings: path(&config.ports_conf),
            cluster_ports: config.cluster_ports_conf.as_ref().map(path),
            endpoints: config.endpoints_conf.as_ref().map(path),
            peers: config.peers_conf.as_ref().map(path),
            key: config.peer_key.as_ref().map(path),
            metrics: config.metrics_socket.as_ref().map(path),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<&Path> {
        let named = [&self.cluster_ports, &self.endpoints, &self.peers, &self.key];
        let named = named.into_iter().flatten();
        [&self.hosts, &self.mappings]
            .into_iter()
            .chain(named)
            .map(PathBuf::as_path)
            .collect()
    }
}

/// Reads the private keys of the proxy, if nobody else can.
pub(crate) fn read_key(path: &Path) -> Result<Option<ProxyKeys>, String> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot look at {}: {error}", path.display())),
    };
    if meta.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        return Err(format!("{path} can be read by others: chmod 600 {path}"));
    }
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let keys = ProxyKeys::parse(&text);
    keys.map(Some)
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// The last good content of all files.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    routers: Followed<Routers>,
    mappings: Followed<PortMappings>,
    cluster_ports: Followed<ClusterPorts>,
    endpoints: Followed<Endpoints>,
    peers: Followed<Peers>,
    key: Followed<ProxyKeys>,
}

impl Inputs {
    #[cfg(test)]
    pub(crate) fn of(
        routers: Routers,
        mappings: PortMappings,
        ports: Option<ClusterPorts>,
    ) -> Self {
        fn fine<T>(value: Option<T>) -> Followed<T> {
            Followed {
                value,
                found: Found::Fine,
            }
        }
        Self {
            routers: fine(Some(routers)),
            mappings: fine(Some(mappings)),
            cluster_ports: fine(ports),
            ..Self::default()
        }
    }

    #[cfg(test)]
    pub(crate) fn with(mut self, endpoints: Endpoints) -> Self {
        self.endpoints.value = Some(endpoints);
        self
    }

    /// Looks at all files.
    pub(crate) fn refresh(&mut self, paths: &Paths, report: &Reporter) {
        self.routers.refresh(&paths.hosts, report);
        self.mappings.refresh(&paths.mappings, report);
        self.cluster_ports
            .refresh_if_named(paths.cluster_ports.as_ref(), report);
        self.endpoints
            .refresh_if_named(paths.endpoints.as_ref(), report);
        self.peers.refresh_if_named(paths.peers.as_ref(), report);
        match &paths.key {
            Some(path) => self.key.take(read_key(path), path, report),
            None => self.key = Followed::default(),
        }
    }

    /// The private keys of this proxy.
    pub(crate) fn key(&self) -> Option<&ProxyKeys> {
        self.key.value.as_ref()
    }

    /// The proxies of the cluster that have keys.
    pub(crate) fn peers(&self) -> &[Peer] {
        self.peers.value.as_ref().map_or(&[], |peers| &peers.0)
    }

    /// The proxies of the cluster.
    pub(crate) fn routers(&self) -> Routers {
        self.routers.value.clone().unwrap_or_default()
    }

    /// The mappings of this host.
    pub(crate) fn mappings(&self) -> &[hostfiles::PortMapping] {
        self.mappings
            .value
            .as_ref()
            .map_or(&[], |mappings| &mappings.0)
    }

    /// What is said of the pods of this host that are ready.
    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        let endpoints = self.endpoints.value.as_ref();
        endpoints.map_or(&[], |endpoints| &endpoints.0)
    }

    /// All slots of this host. A mapping counts for a cluster port of which no line of endpoints.conf speaks: somebody
    /// else has written it.
    pub(crate) fn slots(&self) -> Vec<Endpoint> {
        let described = self.endpoints();
        let known: BTreeSet<ClusterPort> = described.iter().map(|slot| slot.cluster_port).collect();
        let foreign = self
            .mappings()
            .iter()
            .filter(|mapping| !known.contains(&mapping.cluster_port));
        let foreign = foreign.copied().map(Endpoint::from);
        described.iter().cloned().chain(foreign).collect()
    }

    /// The cluster ports of the whole cluster, if somebody says which there are.
    pub(crate) fn cluster_ports(&self) -> Option<&[ClusterPort]> {
        self.cluster_ports
            .value
            .as_ref()
            .map(|ports| ports.0.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_ports() {
        let ports = ClusterPorts::parse("# all\n61000\n\n 61001 \n").unwrap();
        assert_eq!(ports.to_text(), "61000\n61001\n");
        let error = ClusterPorts::parse("61000\n80\n").unwrap_err();
        assert_eq!((error.line, error.found.as_str()), (Some(2), "80"));
    }

    #[test]
    fn mappings_count_where_endpoints_say_nothing() {
        let mappings = "61000:30000:1:true 61000:30001:1:true 61001:30002:7:true";
        let inputs = Inputs::of(
            Routers::default(),
            PortMappings::parse(mappings).unwrap(),
            None,
        );
        let shown = |inputs: &Inputs| Endpoints(inputs.slots()).to_text();
        assert_eq!(shown(&inputs).lines().count(), 3);
        let line = "cluster=61000 target=80 pid=1 start=1 max=1 in=absent out=v2\n";
        let inputs = inputs.with(Endpoints::parse(line).unwrap());
        let foreign = "cluster=61001 host=30002 max=7 in=optional out=v1\n";
        assert_eq!(shown(&inputs), format!("{line}{foreign}"));
    }
}
