//! Ports that led to a release before the daemon started, while its driver has not spoken yet: it may wait
//! for minutes for the lock, which a step of the daemon before still holds.
//!
//! Such a port stays open only as long as all of this is so: the file of the daemon before had the line,
//! so the pod was ready and nobody was about to stop it; the release is still there, wants the line and
//! should be running; and the process that listens there is the one that did when the daemon started. A
//! foreign pod tells by itself, in its status, whether it is ready. What nobody looks at meanwhile are
//! the probes; the step whose end is waited for has a deadline, and then the driver speaks.

use std::collections::{BTreeMap, BTreeSet};

use hostfiles::{HostHome, PortMapping, PortMappings, ReleaseDir, read_if_present};
use names::{PodState, ReleaseId};

use crate::foreign;
use crate::process::{ProcessId, boot_id};
use crate::scan::read_pod;
use crate::shim::RunFiles;

/// The ports of one release.
#[derive(Debug, Clone)]
pub struct Inherited {
    release: ReleaseDir,
    listener: Listener,
    pub(super) mappings: Vec<PortMapping>,
}

#[derive(Debug, Clone)]
enum Listener {
    /// The processes of the units that expose the ports.
    Units(Vec<ProcessId>),
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
        let before: BTreeSet<PortMapping> = mappings(&home.portmappings_conf());
        if before.is_empty() {
            return BTreeMap::new();
        }
        let boot = boot_id().unwrap_or_default();
        releases
            .into_iter()
            .filter_map(|id| {
                let release = home.release(id);
                let own = mappings(&release.portmappings());
                let inherited = Self {
                    mappings: own.intersection(&before).copied().collect(),
                    listener: Listener::of(id, &release, &own, &boot)?,
                    release,
                };
                let is_something = !inherited.mappings.is_empty();
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
            && self.mappings.iter().all(|mapping| wants.contains(mapping))
            && match &self.listener {
                Listener::Units(processes) => processes.iter().all(|process| process.is_alive()),
                Listener::Foreign => foreign::is_ready(&self.release, now_s),
            }
    }
}

impl Listener {
    /// None when nobody can say who listens: then nothing is inherited.
    fn of(
        id: &ReleaseId,
        release: &ReleaseDir,
        own: &BTreeSet<PortMapping>,
        boot: &str,
    ) -> Option<Self> {
        if foreign::program_of(release).is_some() {
            return Some(Self::Foreign);
        }
        // The pod in service: the one that its units were started with.
        let pod = read_pod(id, &release.run_dir().join("pod")).ok()?;
        let exposes = |port| own.iter().any(|mapping| Some(mapping.host_port) == port);
        let units = pod.units.iter().filter(|unit| {
            let mut ports = unit.expose.iter().map(|port| port.host_port);
            ports.any(exposes)
        });
        let process = |unit: &podspec::Unit| {
            let record = RunFiles::of(release, &unit.name).read_run()?;
            (record.boot == boot).then_some(record.process)
        };
        let processes = units.map(process).collect::<Option<Vec<_>>>()?;
        (!processes.is_empty()).then_some(Self::Units(processes))
    }
}

fn mappings(path: &std::path::Path) -> BTreeSet<PortMapping> {
    let read = read_if_present::<PortMappings>(path).ok().flatten();
    read.into_iter().flat_map(|read| read.0).collect()
}
