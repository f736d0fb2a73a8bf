//! Which commits a compile was made from, for the log of the pod.

use std::fmt;

use names::PodName;

use crate::command_error::CommandError;
use crate::git::{Repository, Revision};
use crate::pod_sources::PodSource;
use crate::project::Cluster;

/// The commits of the three inputs of a compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revisions {
    pod: Revision,
    vars: Revision,
    config: Revision,
}

impl Revisions {
    /// Asks git.
    pub(super) fn read(
        cluster: &Cluster<'_>,
        pod: &PodName,
        source: &PodSource,
    ) -> Result<Self, CommandError> {
        let project = Repository::open(cluster.path())?;
        Ok(Self {
            pod: source.revision("pod.yaml")?,
            vars: project.revision(&cluster.files.vars())?,
            config: project.revision(&cluster.files.config_dir(pod))?,
        })
    }

    /// What cannot be found again later, because it is not committed.
    pub(super) fn warning(&self) -> Option<String> {
        let inputs = [
            ("pod.yaml", &self.pod),
            ("cluster-vars.env", &self.vars),
            ("the configs", &self.config),
        ];
        let changed = inputs
            .into_iter()
            .filter(|(_, revision)| **revision == Revision::Changed);
        let changed: Vec<&str> = changed.map(|(what, _)| what).collect();
        let list = changed.join(", ");
        (!changed.is_empty()).then(|| {
            format!("not committed: {list}; so the log of the pod cannot say what was compiled")
        })
    }
}

impl fmt::Display for Revisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pod.yaml={} cluster-vars.env={} config={}",
            self.pod, self.vars, self.config
        )
    }
}
