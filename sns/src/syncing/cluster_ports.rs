//! `clusterports.conf` of a host home: every cluster port that exists in the cluster, one per line, so that
//! a proxy listens on those and on no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use hostfiles::HostHome;
use names::{ClusterPort, PodState};

use crate::command_error::CommandError;
use crate::project::{Cluster, Selected};

/// Every cluster port of a release that should run on a host that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ClusterPorts(BTreeSet<ClusterPort>);

impl ClusterPorts {
    /// Reads them from the compiled releases.
    pub(crate) fn read(cluster: &Cluster<'_>) -> Result<Self, CommandError> {
        let mut ports = BTreeSet::new();
        for host in cluster
            .hosts()?
            .into_iter()
            .filter(|host| !host.is_disabled())
        {
            for id in host.releases()? {
                let release = Selected {
                    dir: host.dir.release(&id),
                    host: host.clone(),
                    id,
                };
                if release.state()? == PodState::Running {
                    ports.extend(
                        release
                            .port_uses()?
                            .iter()
                            .filter_map(|port_use| port_use.cluster_port),
                    );
                }
            }
        }
        Ok(Self(ports))
    }

    /// True when a host has exactly these.
    pub(super) fn are_on(&self, home: &HostHome) -> bool {
        fs::read(file(home)).is_ok_and(|bytes| bytes == self.text().as_bytes())
    }

    /// Writes them to a host.
    pub(super) fn write_to(&self, home: &HostHome) -> Result<(), CommandError> {
        hostfiles::replace(&file(home), self.text().as_bytes(), 0o644)?;
        Ok(())
    }

    fn text(&self) -> String {
        self.0.iter().map(|port| format!("{port}\n")).collect()
    }
}

fn file(home: &HostHome) -> PathBuf {
    home.path().join("clusterports.conf")
}
