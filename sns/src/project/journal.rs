//! The logs of the project: what was done to the cluster and to each pod, one line each, for people.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use names::PodName;

use super::{Cluster, Host};
use crate::command_error::CommandError;
use crate::environment::Environment;

impl Cluster<'_> {
    /// Adds a line to the log of the cluster.
    pub(crate) fn log(&self, action: &str) -> Result<(), CommandError> {
        append(&self.files.log(), &log_line(self.environment, action))
    }

    /// Adds a line to the log of a pod on a host.
    pub(crate) fn log_pod(
        &self,
        host: &Host,
        pod: &PodName,
        action: &str,
    ) -> Result<(), CommandError> {
        append(&host.dir.pod_log(pod), &log_line(self.environment, action))
    }
}

/// `DATE TIME UNIX USER ACTION`, in UTC.
pub(crate) fn log_line(environment: &Environment, action: &str) -> String {
    let now = environment.now;
    format!(
        "{} {} {} {action}\n",
        now.strftime("%Y-%m-%d %H:%M:%S"),
        now.as_second(),
        environment.user
    )
}

fn append(path: &Path, line: &str) -> Result<(), CommandError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(|error| {
            CommandError::files(format!("could not add a line to {}", path.display()), error)
        })
}
