//! The ports that sns chooses during a compile: what is taken, and what the release has on other hosts
//! already.

use std::collections::BTreeSet;
use std::fs;

use names::ReleaseId;

use crate::command_error::CommandError;
use crate::ports::{Assigner, remembered_cluster_ports};
use crate::project::{Cluster, Host};

/// Knows every port of the project, and the cluster ports that this release has on other hosts.
pub(super) fn assigner(
    cluster: &Cluster<'_>,
    release: &ReleaseId,
    text: &str,
    missing: &[Host],
) -> Result<Assigner, CommandError> {
    let mut assigner = Assigner::new(cluster.addresses()?, &cluster.port_uses()?, &numbers(text));
    for host in cluster.hosts()? {
        if missing.iter().any(|other| other.name == host.name) {
            continue;
        }
        let remembered = fs::read_to_string(host.dir.release(release).source()).unwrap_or_default();
        for (variable, port) in remembered_cluster_ports(&remembered) {
            assigner.keep_cluster_port(&variable, port);
        }
    }
    Ok(assigner)
}

/// Every number in the text that could be a port, wherever it stands.
fn numbers(text: &str) -> BTreeSet<u16> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_text() {
        assert_eq!(
            numbers("hostPort: 30000\nargs: [--port=8080, 99999]"),
            BTreeSet::from([30000, 8080])
        );
    }
}
