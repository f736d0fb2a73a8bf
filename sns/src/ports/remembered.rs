//! The first line of `.pod.yaml`, which remembers the ports that sns chose for a release: later compiles
//! keep them, and checks can tell them from numbers that the author wrote.

use std::collections::BTreeMap;

use super::is_automatic;

const FIRST_LINE: &str = "# Made by sns from pod.yaml; automatic ports:";

/// The line that remembers which ports were chosen.
pub(crate) fn first_line(assigned: &BTreeMap<String, u16>) -> String {
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

/// The ports that the text of a `.pod.yaml` remembers, by variable.
pub(crate) fn read_first_line(text: &str) -> Vec<(String, u16)> {
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

/// What follows the line that remembers ports; none when there is no such line.
pub(crate) fn without_first_line(text: &str) -> Option<&str> {
    text.strip_prefix(FIRST_LINE)?
        .split_once('\n')
        .map(|(_, rest)| rest)
}

/// Only the cluster ports among them.
pub(crate) fn remembered_cluster_ports(text: &str) -> Vec<(String, u16)> {
    let mut ports = read_first_line(text);
    ports.retain(|(variable, _)| super::assign::is_cluster_port(variable));
    ports
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
            remembered_cluster_ports(&line),
            [("CLUSTERPORTAUTO1".to_owned(), 61000)]
        );
        assert_eq!(
            read_first_line(&line),
            ports.into_iter().collect::<Vec<_>>()
        );
        assert_eq!(read_first_line(&first_line(&BTreeMap::new())), []);
        assert_eq!(
            without_first_line(&format!("{line}api: 1\n")),
            Some("api: 1\n")
        );
        assert_eq!(without_first_line("api: 1\n"), None);
        assert_eq!(read_first_line("api: 1.0.0-beta2\n"), []);
    }
}
