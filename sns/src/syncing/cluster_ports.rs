//! Every cluster port that exists in the cluster: a proxy listens on those and on no others.

use hostfiles::ClusterPorts;
use names::PodState;

use crate::command_error::CommandError;
use crate::project::{Cluster, Selected};

/// The cluster ports of all releases that should run on a host that takes part.
pub(super) fn read(cluster: &Cluster<'_>) -> Result<ClusterPorts, CommandError> {
    let mut ports = Vec::new();
    let hosts = cluster.hosts()?;
    for host in hosts.into_iter().filter(|host| !host.is_disabled()) {
        for id in host.releases()? {
            let release = Selected {
                dir: host.dir.release(&id),
                host: host.clone(),
                id,
            };
            if release.state()? == PodState::Running {
                let uses = release.port_uses()?;
                ports.extend(uses.iter().filter_map(|port_use| port_use.cluster_port));
            }
        }
    }
    Ok(ClusterPorts::merged(ports))
}
