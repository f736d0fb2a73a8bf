//! Which ports the releases of the project use, read from their compiled files.

use std::fs;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use hostfiles::PortMappings;
use names::{ClusterPort, PodState};
use podspec::{CompiledError, CompiledPod};

use super::{Cluster, Host, Selected};
use crate::command_error::{CommandError, Kind};
use crate::ports::{Address, PortUse, remembered_cluster_ports};

impl Cluster<'_> {
    /// Where every host listens, disabled ones included.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>, CommandError> {
        Ok(self.hosts()?.iter().map(Host::address).collect())
    }

    /// Every port that a release of the project uses, removed releases and disabled hosts included: a port
    /// is free again after `sns pod delete`.
    pub(crate) fn port_uses(&self) -> Result<Vec<PortUse>, CommandError> {
        let mut releases = Vec::new();
        for host in self.hosts()? {
            for id in host.releases()? {
                releases.push(Selected {
                    dir: host.dir.release(&id),
                    host: host.clone(),
                    id,
                });
            }
        }
        // Reading hundreds of compiled pods is most of the work of a compile.
        let share = releases.len().div_ceil(threads()).max(1);
        thread::scope(|scope| {
            let readers: Vec<_> = releases
                .chunks(share)
                .map(|share| scope.spawn(|| uses_of(share)))
                .collect();
            let mut uses = Vec::new();
            for reader in readers {
                match reader.join() {
                    Ok(read) => uses.extend(read?),
                    Err(panic) => resume_unwind(panic),
                }
            }
            Ok(uses)
        })
    }
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn uses_of(releases: &[Selected]) -> Result<Vec<PortUse>, CommandError> {
    let mut uses = Vec::new();
    for release in releases {
        uses.extend(release.port_uses()?);
    }
    Ok(uses)
}

impl Selected {
    /// The compiled pod; none for a foreign program that obeys the Pod API, or when there is no file.
    pub(crate) fn compiled(&self) -> Result<Option<CompiledPod>, CommandError> {
        let path = self.dir.pod();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(CommandError::files(
                    format!("could not read {}", path.display()),
                    error,
                ));
            }
        };
        match CompiledPod::from_text(&String::from_utf8_lossy(&bytes)) {
            Ok(pod) => Ok(Some(pod)),
            Err(CompiledError::Foreign) => Ok(None),
            Err(error) => Err(CommandError::new(
                Kind::Diagnostics,
                format!("could not understand {}", path.display()),
            )
            .caused_by(error)),
        }
    }

    /// The ports of this release. A foreign program shows only what it maps to cluster ports.
    pub(crate) fn port_uses(&self) -> Result<Vec<PortUse>, CommandError> {
        let remembered = fs::read_to_string(self.dir.source()).unwrap_or_default();
        let automatic = remembered_cluster_ports(&remembered);
        let is_running = self.state()? == PodState::Running;
        let entry = |host_port, cluster_port: Option<ClusterPort>| PortUse {
            host: self.host.name.clone(),
            release: self.id.clone(),
            host_port,
            cluster_port,
            is_automatic: cluster_port
                .is_some_and(|port| automatic.iter().any(|(_, chosen)| *chosen == port.get())),
            is_running,
        };
        if let Some(pod) = self.compiled()? {
            let exposed = pod.units.iter().flat_map(|unit| &unit.expose);
            return Ok(exposed
                .map(|expose| entry(expose.host_port, expose.cluster_port))
                .collect());
        }
        let mappings: PortMappings =
            hostfiles::read_if_present(&self.dir.portmappings())?.unwrap_or_default();
        Ok(mappings
            .0
            .iter()
            .map(|mapping| entry(Some(mapping.host_port), Some(mapping.cluster_port)))
            .collect())
    }
}
