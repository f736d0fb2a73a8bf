//! The ports that sns chooses during a compile: what is taken, what the release has on other hosts already,
//! and the line at the top of `.pod.yaml` that remembers the choice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use names::ReleaseId;

use crate::command_error::CommandError;
use crate::ports::{Assigner, is_automatic};
use crate::project::{Cluster, Host};

const FIRST_LINE: &str = "# Made by sns from pod.yaml; automatic ports:";

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
        for (variable, port) in read_first_line(&remembered) {
            if variable.starts_with("CLUSTER") {
                assigner.keep_cluster_port(&variable, port);
            }
        }
    }
    Ok(assigner)
}

/// The line that remembers which ports were chosen.
pub(super) fn first_line(assigned: &BTreeMap<String, u16>) -> String {
    let ports: String = assigned
        .iter()
        .map(|(variable, port)| format!(" {variable}={port}"))
        .collect();
    format!(
        "{FIRST_LINE}{}\n",
        if ports.is_empty() {
            " none".to_owned()
        } else {
            ports
        }
    )
}

fn read_first_line(text: &str) -> Vec<(String, u16)> {
    let line = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(FIRST_LINE))
        .unwrap_or_default();
    let words = line
        .split_whitespace()
        .filter_map(|word| word.split_once('='));
    let ports = words.filter(|(variable, _)| is_automatic(variable));
    ports
        .filter_map(|(variable, port)| Some((variable.to_owned(), port.parse().ok()?)))
        .collect()
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
    fn the_first_line_goes_both_ways() {
        let ports = BTreeMap::from([
            ("CLUSTERPORTAUTO1".to_owned(), 61000),
            ("HOSTPORTAUTO1".to_owned(), 30000),
        ]);
        let line = first_line(&ports);
        assert_eq!(
            line,
            "# Made by sns from pod.yaml; automatic ports: CLUSTERPORTAUTO1=61000 HOSTPORTAUTO1=30000\n"
        );
        assert_eq!(
            read_first_line(&line),
            ports.into_iter().collect::<Vec<_>>()
        );
        assert_eq!(read_first_line(&first_line(&BTreeMap::new())), []);
        assert_eq!(read_first_line("api: 1.0.0-beta2\n"), []);
    }

    #[test]
    fn numbers_of_a_text() {
        assert_eq!(
            numbers("hostPort: 30000\nargs: [--port=8080, 99999]"),
            BTreeSet::from([30000, 8080])
        );
    }
}
