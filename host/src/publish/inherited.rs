//! Ports that led to a release before the daemon started, while its driver has not spoken yet: it may wait
//! for minutes for the lock, which a step of the daemon before still holds.
//!
//! Such a port stays open only as long as all of this is so: the files of the daemon before had the line,
//! so the pod was ready and nobody was about to stop it; the release is still there, wants the line and
//! should be running; and the process that listens there is the one that did when the daemon started. A
//! foreign pod tells by itself, in its status, whether it is ready. What nobody looks at meanwhile are
//! the probes; the step whose end is waited for has a deadline, and then the driver speaks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hostfiles::{
    Endpoint, Endpoints, Format, HostHome, PortMapping, PortMappings, ReleaseDir, read_if_present,
};
use names::{ClusterPort, PodState, ReleaseId};

use super::Ways;
use crate::foreign;
use crate::process::{ProcessId, boot_id};
use crate::scan::read_pod;
use crate::shim::RunFiles;

/// The ports of one release.
#[derive(Debug, Clone)]
pub struct Inherited {
    release: ReleaseDir,
    listener: Listener,
    pub(super) ways: Ways,
}

#[derive(Debug, Clone)]
enum Listener {
    Units {
        /// The processes of those that expose the ports.
        processes: Vec<ProcessId>,
        /// The cluster ports that they have without a host port.
        hidden: BTreeSet<ClusterPort>,
    },
    /// A program of its own, whose status says so.
    Foreign,
}

impl Inherited {
    /// What there is for each of these releases, before the file of the daemon before is replaced.
    #[must_use]
    pub fn of<'a>(
        home: &HostHome,
        releases: impl IntoIterator<Item = &'a ReleaseId>,
        now_s: u64,
    ) -> BTreeMap<ReleaseId, Self> {
        let before = Before {
            mappings: mappings(&home.portmappings_conf()),
            endpoints: of_file::<Endpoints>(&home.endpoints_conf()).0,
        };
        if before.mappings.is_empty() && before.endpoints.is_empty() {
            return BTreeMap::new();
        }
        let boot = boot_id().unwrap_or_default();
        releases
            .into_iter()
            .filter_map(|id| {
                let release = home.release(id);
                let (listener, ways) = before.of(id, &release, &boot)?;
                let inherited = Self {
                    release,
                    listener,
                    ways,
                };
                let is_something = !inherited.ways.endpoints.is_empty();
                (is_something && inherited.holds(now_s)).then(|| (id.clone(), inherited))
            })
            .collect()
    }

    /// True while nothing speaks against it.
    #[must_use]
    pub fn holds(&self, now_s: u64) -> bool {
        let state = read_if_present::<PodState>(&self.release.state());
        let is_wanted = state.is_ok_and(|state| state == Some(PodState::Running));
        let wants = mappings(&self.release.portmappings());
        is_wanted
            && self
                .ways
                .mappings
                .iter()
                .all(|mapping| wants.contains(mapping))
            && match &self.listener {
                Listener::Units { processes, .. } => {
                    processes.iter().all(|process| process.is_alive())
                }
                Listener::Foreign => foreign::is_ready(&self.release, now_s),
            }
    }
}

/// What the daemon before had written.
struct Before {
    mappings: BTreeSet<PortMapping>,
    endpoints: Vec<Endpoint>,
}

impl Before {
    /// What led to this release, and who listens there.
    fn of(&self, id: &ReleaseId, release: &ReleaseDir, boot: &str) -> Option<(Listener, Ways)> {
        let name = format!("{}-{}", id.pod, id.version);
        let described = self.endpoints.iter();
        let described: Vec<&Endpoint> = described
            .filter(|endpoint| endpoint.pod.as_deref() == Some(&name))
            .collect();
        let own = mappings(&release.portmappings());
        let hidden = || described.iter().filter(|one| one.host_port.is_none());
        let ports = hidden().map(|one| one.cluster_port).collect();
        let listener = Listener::of(id, release, &own, ports, boot)?;
        let mappings: Vec<PortMapping> = own.intersection(&self.mappings).copied().collect();
        let of_mapping = |mapping: &PortMapping| {
            let mut described = described.iter();
            described
                .find(|one| {
                    let is_same = one.cluster_port == mapping.cluster_port;
                    is_same && one.host_port == Some(mapping.host_port)
                })
                .map_or_else(|| (*mapping).into(), |one| (*one).clone())
        };
        let hidden = hidden().filter(|one| listener.is_inside(one));
        let endpoints = mappings.iter().map(of_mapping);
        let endpoints = endpoints.chain(hidden.map(|one| (*one).clone())).collect();
        Some((
            listener,
            Ways {
                mappings,
                endpoints,
            },
        ))
    }
}

impl Listener {
    /// None when nobody can say who listens: then nothing is inherited.
    fn of(
        id: &ReleaseId,
        release: &ReleaseDir,
        own: &BTreeSet<PortMapping>,
        mut hidden: BTreeSet<ClusterPort>,
        boot: &str,
    ) -> Option<Self> {
        if foreign::program_of(release).is_some() {
            return Some(Self::Foreign);
        }
        // The pod in service: the one that its units were started with.
        let pod = read_pod(id, &release.run_dir().join("pod")).ok()?;
        let ports = || pod.units.iter().flat_map(|unit| &unit.expose);
        hidden.retain(|port| {
            ports().any(|expose| expose.host_port.is_none() && expose.cluster_port == Some(*port))
        });
        let exposes = |port: &podspec::Expose| match port.host_port {
            Some(host_port) => own.iter().any(|mapping| mapping.host_port == host_port),
            None => port.cluster_port.is_some_and(|port| hidden.contains(&port)),
        };
        let units = pod
            .units
            .iter()
            .filter(|unit| unit.expose.iter().any(exposes));
        let process = |unit: &podspec::Unit| {
            let record = RunFiles::of(release, &unit.name).read_run()?;
            (record.boot == boot).then_some(record.process)
        };
        let processes = units.map(process).collect::<Option<Vec<_>>>()?;
        (!processes.is_empty()).then_some(Self::Units { processes, hidden })
    }

    /// Whether one of them is the process by which a way without a host port leads in.
    fn is_inside(&self, endpoint: &Endpoint) -> bool {
        let (Self::Units { processes, hidden }, Some(inside)) = (self, endpoint.inside) else {
            return false;
        };
        hidden.contains(&endpoint.cluster_port)
            && processes
                .iter()
                .any(|process| (process.pid, process.start_time) == (inside.pid, inside.start_time))
    }
}

fn mappings(path: &Path) -> BTreeSet<PortMapping> {
    of_file::<PortMappings>(path).0.into_iter().collect()
}

/// What a file says; nothing where it cannot be read.
fn of_file<F: Format + Default>(path: &Path) -> F {
    read_if_present(path).ok().flatten().unwrap_or_default()
}
