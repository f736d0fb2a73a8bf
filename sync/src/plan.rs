//! What has to happen on a host, found by comparing what is wanted with what is present.
//!
//! Pure: two trees in, steps out, in an order that depends on nothing else. `sns cluster diff` prints the
//! steps, a sync takes them. A step says *what* changes for a person; how it is done is the far end's.

use std::collections::BTreeSet;
use std::fmt;

use names::{PodName, PodState, ReleaseId, VolumeName};
use serde::{Deserialize, Serialize};

use crate::{Digest, Release, Tree};

/// What the operator decided for this sync.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Releases whose compiled pod may be replaced though their version stays.
    pub overwrite: BTreeSet<ReleaseId>,
    /// The pods that are meant; none when all are. What belongs to no pod always is.
    pub pods: Option<BTreeSet<PodName>>,
}

impl Options {
    fn has(&self, release: &ReleaseId) -> bool {
        let pods = self.pods.as_ref();
        pods.is_none_or(|pods| pods.contains(&release.pod))
    }
}

/// Whether the routes to a release are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoutesState {
    /// They are in force.
    Active,
    /// They are kept, but not in force.
    Inactive,
    /// There are none.
    Absent,
}

/// One change on a host. Its `Display` is one line for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// `hosts.conf` gets new content.
    Hosts,
    /// `clusterports.conf` gets new content.
    ClusterPorts,
    /// `peers.conf` gets new content, or goes.
    Peers {
        /// False if no proxy has a key any more.
        wanted: bool,
    },
    /// A plugin component arrives or is replaced.
    Plugin {
        /// Its file name.
        file_name: String,
        /// Its content.
        digest: Digest,
    },
    /// A program arrives, is replaced, or goes.
    Program {
        /// Its name.
        name: String,
        /// Its content; none if the project has none of that name any more.
        digest: Option<Digest>,
    },
    /// `plugins.yaml` gets new content, or goes.
    Grants {
        /// False if the project has none any more.
        wanted: bool,
    },
    /// A release arrives, with all that belongs to it.
    Add {
        /// The release.
        release: ReleaseId,
        /// What should become of it.
        state: PodState,
    },
    /// A config gets new content.
    Config {
        /// The release.
        release: ReleaseId,
        /// The config.
        name: VolumeName,
    },
    /// The compiled pod and its port mappings are replaced.
    Pod {
        /// The release.
        release: ReleaseId,
    },
    /// The routes change.
    Routes {
        /// The release.
        release: ReleaseId,
        /// What they are afterwards.
        to: RoutesState,
    },
    /// The wanted state changes.
    State {
        /// The release.
        release: ReleaseId,
        /// What the host has; none if it cannot be read.
        from: Option<PodState>,
        /// What should become of the release.
        to: PodState,
        /// Whether the project has the release at all.
        in_project: bool,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts => write!(f, "~ hosts.conf"),
            Self::ClusterPorts => write!(f, "~ clusterports.conf"),
            Self::Peers { wanted: true } => write!(f, "~ peers.conf"),
            Self::Peers { wanted: false } => write!(f, "- peers.conf"),
            Self::Plugin { file_name, digest } => {
                write!(f, "+ plugin {file_name} (sha256 {})", digest.short())
            }
            Self::Program {
                name,
                digest: Some(digest),
            } => write!(f, "+ program {name} (sha256 {})", digest.short()),
            Self::Program { name, digest: None } => write!(f, "- program {name}"),
            Self::Grants { wanted: true } => write!(f, "~ plugins.yaml"),
            Self::Grants { wanted: false } => write!(f, "- plugins.yaml"),
            Self::Add { release, state } => write!(f, "+ {release} {state}"),
            Self::Config { release, name } => write!(f, "~ {release} config {name}"),
            Self::Pod { release } => write!(f, "~ {release} pod"),
            Self::Routes {
                release,
                to: RoutesState::Active,
            } => write!(f, "~ {release} routes, active"),
            Self::Routes {
                release,
                to: RoutesState::Inactive,
            } => write!(f, "~ {release} routes, inactive"),
            Self::Routes {
                release,
                to: RoutesState::Absent,
            } => write!(f, "- {release} routes"),
            Self::State {
                release,
                from,
                to,
                in_project,
            } => {
                let mark = if *to == PodState::Removed { '-' } else { '~' };
                let from = from.map_or("unknown", PodState::as_str);
                let why = if *in_project {
                    ""
                } else {
                    " (not in the project)"
                };
                write!(f, "{mark} {release} {from} -> {to}{why}")
            }
        }
    }
}

/// All changes on one host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Releases whose compiled pod differs from the host's and is not sent, because a version that was
    /// delivered does not change unless the operator names it.
    pub held_back: Vec<ReleaseId>,
}

impl Plan {
    /// True if the host already has what is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl fmt::Display for Plan {
    /// One line per step, then one per pod that is held back; nothing if there is nothing to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        for release in &self.held_back {
            writeln!(
                f,
                "! {release} pod differs and is not sent: give it a new version, or overwrite it by name"
            )?;
        }
        Ok(())
    }
}

/// The changes that lead from `present` to `wanted`.
#[must_use]
pub fn plan(wanted: &Tree, present: &Tree, options: &Options) -> Plan {
    let mut plan = Plan::default();
    if wanted.hosts_conf != present.hosts_conf {
        plan.steps.push(Step::Hosts);
    }
    // A caller that says nothing about cluster ports leaves them alone.
    if wanted.cluster_ports_conf.is_some()
        && wanted.cluster_ports_conf != present.cluster_ports_conf
    {
        plan.steps.push(Step::ClusterPorts);
    }
    if wanted.peers_conf != present.peers_conf {
        plan.steps.push(Step::Peers {
            wanted: wanted.peers_conf.is_some(),
        });
    }
    for (file_name, digest) in &wanted.plugins {
        if present.plugins.get(file_name) != Some(digest) {
            plan.steps.push(Step::Plugin {
                file_name: file_name.clone(),
                digest: *digest,
            });
        }
    }
    if wanted.plugins_yaml != present.plugins_yaml {
        plan.steps.push(Step::Grants {
            wanted: wanted.plugins_yaml.is_some(),
        });
    }
    programs(&mut plan, wanted, present);
    let all: BTreeSet<&ReleaseId> = wanted
        .releases
        .keys()
        .chain(present.releases.keys())
        .collect();
    for id in all.into_iter().filter(|id| options.has(id)) {
        match (wanted.releases.get(id), present.releases.get(id)) {
            (Some(wanted), Some(present)) => change(&mut plan, id, wanted, present, options),
            (Some(wanted), None) => add(&mut plan, id, wanted),
            (None, Some(present)) => {
                set_state(&mut plan, id, present.state, PodState::Removed, false);
            }
            (None, None) => {}
        }
    }
    plan
}

fn programs(plan: &mut Plan, wanted: &Tree, present: &Tree) {
    let names: BTreeSet<&String> = wanted
        .programs
        .keys()
        .chain(present.programs.keys())
        .collect();
    for name in names {
        let digest = wanted.programs.get(name).copied();
        if digest.as_ref() != present.programs.get(name) {
            plan.steps.push(Step::Program {
                name: name.clone(),
                digest,
            });
        }
    }
}

/// What the project says should become of a release; a release without a state is removed.
fn wanted_state(wanted: &Release) -> PodState {
    wanted.state.unwrap_or(PodState::Removed)
}

fn add(plan: &mut Plan, id: &ReleaseId, wanted: &Release) {
    let state = wanted_state(wanted);
    if state != PodState::Removed {
        plan.steps.push(Step::Add {
            release: id.clone(),
            state,
        });
    }
}

fn change(plan: &mut Plan, id: &ReleaseId, wanted: &Release, present: &Release, options: &Options) {
    for (name, config) in &wanted.configs {
        if present.configs.get(name) != Some(config) {
            plan.steps.push(Step::Config {
                release: id.clone(),
                name: name.clone(),
            });
        }
    }
    if (wanted.pod, wanted.portmappings) != (present.pod, present.portmappings) {
        let is_wanted = wanted_state(wanted) != PodState::Removed;
        if options.overwrite.contains(id) || (is_wanted && !is_in_use(present)) {
            plan.steps.push(Step::Pod {
                release: id.clone(),
            });
        } else if is_wanted {
            plan.held_back.push(id.clone());
        }
    }
    if (wanted.routes, wanted.routes_inactive) != (present.routes, present.routes_inactive) {
        let to = match (wanted.routes, wanted.routes_inactive) {
            (Some(_), _) => RoutesState::Active,
            (None, Some(_)) => RoutesState::Inactive,
            (None, None) => RoutesState::Absent,
        };
        plan.steps.push(Step::Routes {
            release: id.clone(),
            to,
        });
    }
    set_state(plan, id, present.state, wanted_state(wanted), true);
}

/// Whether the pod of a release is one that the host was told to use. One that was removed, that nobody
/// knows the state of, or that the host lost, gives way to what the project has now.
fn is_in_use(present: &Release) -> bool {
    let is_told = matches!(present.state, Some(PodState::Running | PodState::Stopped));
    present.pod.is_some() && is_told
}

fn set_state(
    plan: &mut Plan,
    id: &ReleaseId,
    from: Option<PodState>,
    to: PodState,
    in_project: bool,
) {
    if from != Some(to) {
        plan.steps.push(Step::State {
            release: id.clone(),
            from,
            to,
            in_project,
        });
    }
}
