//! Which contents a plan needs: what its steps put somewhere.
//!
//! Pure, and the same at both ends.

use std::collections::BTreeSet;

use names::ReleaseId;

use crate::plan::RoutesState;
use crate::{Config, Digest, Plan, Release, Step, Tree};

/// The digests of everything that the steps of the plan write, as far as `tree` has it.
pub(crate) fn contents(plan: &Plan, tree: &Tree) -> BTreeSet<Digest> {
    let mut needed = BTreeSet::new();
    for step in &plan.steps {
        match step {
            Step::Hosts => needed.extend(tree.hosts_conf),
            Step::ClusterPorts => needed.extend(tree.cluster_ports_conf),
            Step::Peers { .. } => needed.extend(tree.peers_conf),
            Step::Grants { .. } => needed.extend(tree.plugins_yaml),
            Step::Plugin { digest, .. } => needed.extend([*digest]),
            Step::Program { digest, .. } => needed.extend(*digest),
            Step::State { .. } => {}
            Step::Add { release, .. } => {
                if let Some(release) = tree.releases.get(release) {
                    needed.extend(of_release(release));
                }
            }
            Step::Config { release, name } => {
                let config = release_of(tree, release).and_then(|found| found.configs.get(name));
                needed.extend(config.into_iter().flat_map(of_config));
            }
            Step::Pod { release } => {
                if let Some(release) = release_of(tree, release) {
                    needed.extend(release.pod.into_iter().chain(release.portmappings));
                }
            }
            Step::Routes { release, to } => {
                if let Some(release) = release_of(tree, release) {
                    needed.extend(match to {
                        RoutesState::Active => release.routes,
                        RoutesState::Inactive => release.routes_inactive,
                        RoutesState::Absent => None,
                    });
                }
            }
        }
    }
    needed
}

/// Everything that a tree holds.
pub(crate) fn all(tree: &Tree) -> BTreeSet<Digest> {
    let files = [
        tree.hosts_conf,
        tree.cluster_ports_conf,
        tree.peers_conf,
        tree.plugins_yaml,
    ];
    let plugins = tree.plugins.values().copied();
    let programs = tree.programs.values().copied();
    let releases = tree.releases.values().flat_map(of_release);
    files
        .into_iter()
        .flatten()
        .chain(plugins)
        .chain(programs)
        .chain(releases)
        .collect()
}

fn release_of<'t>(tree: &'t Tree, id: &ReleaseId) -> Option<&'t Release> {
    tree.releases.get(id)
}

fn of_release(release: &Release) -> impl Iterator<Item = Digest> {
    let files = [
        release.pod,
        release.portmappings,
        release.routes,
        release.routes_inactive,
    ];
    let configs = release.configs.values().flat_map(of_config);
    files.into_iter().flatten().chain(configs)
}

fn of_config(config: &Config) -> impl Iterator<Item = Digest> {
    config.files.values().map(|mark| mark.digest)
}
