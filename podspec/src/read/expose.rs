//! Exposed ports.

use std::net::IpAddr;

use names::{AcceptProxy, ClusterPort, HostPort, SendProxy};

use super::ingress;
use super::unit::Pod;
use crate::compiled::{ACCEPT, MAX_CONN, SEND};
use crate::reader::{Fields, Problems, Value};
use crate::{Expose, IngressAction};

const KEYS: [&str; 8] = [
    "targetPort",
    "hostPort",
    "hostInterface",
    "clusterPort",
    "maxConn",
    "sendProxy",
    "acceptProxy",
    "ingress",
];

/// The ports of a unit.
pub(super) fn expose(unit: &Fields<'_>, pod: &mut Pod<'_>, problems: &mut Problems) -> Vec<Expose> {
    let items = unit
        .get("expose")
        .map(|list| list.list("ports", problems))
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| read_expose(item, pod, problems))
        .collect()
}

fn read_expose(item: &Value<'_>, pod: &mut Pod<'_>, problems: &mut Problems) -> Option<Expose> {
    let fields = item.fields(&KEYS, problems)?;
    let target_port = fields
        .get("targetPort")
        .and_then(|value| value.number(1..=u16::MAX, problems));
    let host_port = read_host_port(&fields, pod, problems);
    let cluster_port = fields
        .get("clusterPort")
        .and_then(|value| value.parsed(ClusterPort::RULE, problems));
    refuse_missing_ports(&fields, pod, problems);
    let ingress = ingress::rules(&fields, pod, problems);
    let leads_here = ingress
        .iter()
        .any(|rule| rule.action == IngressAction::Server);
    if leads_here {
        refuse_unreachable(&fields, cluster_port, problems);
    }
    let (send_proxy, accept_proxy) = read_headers(&fields, leads_here, pod, problems);
    Some(Expose {
        target_port,
        host_port,
        host_interface: read_interface(&fields, problems),
        cluster_port,
        max_conn: fields
            .get("maxConn")
            .and_then(|value| value.number(1..=u32::MAX, problems))
            .unwrap_or(MAX_CONN),
        send_proxy,
        accept_proxy,
        ingress,
    })
}

/// What it says about headers of the PROXY protocol.
fn read_headers(
    fields: &Fields<'_>,
    leads_here: bool,
    pod: &Pod<'_>,
    problems: &mut Problems,
) -> (SendProxy, AcceptProxy) {
    let (send_value, accept_value) = (fields.get("sendProxy"), fields.get("acceptProxy"));
    let send = send_value
        .as_ref()
        .and_then(|value| value.word(&SEND, problems))
        .unwrap_or_default();
    let accept = accept_value
        .as_ref()
        .and_then(|value| value.word(&ACCEPT, problems))
        .unwrap_or_default();
    // The ports of a program reach the proxy through the original's four fields.
    let is_program = pod.shape.units.is_empty();
    if let Some(value) = send_value.filter(|_| is_program && send == SendProxy::V2) {
        let message =
            "the ports of a program can only say whether they want a header, which is of version 1";
        let hint = "write `sendProxy: true`".to_owned();
        problems.push(value.error(message).hinting(Some(hint)));
    }
    let Some(value) = accept_value.filter(|_| accept != AcceptProxy::Optional) else {
        return (send, accept);
    };
    if is_program {
        let message = "the ports of a program cannot say what their clients bring";
        let hint = "leave the line out: a header is optional".to_owned();
        problems.push(value.error(message).hinting(Some(hint)));
    } else if fields.get("clusterPort").is_none() {
        let message = "`acceptProxy` has no effect without `clusterPort`";
        let problem = fields.key_error("acceptProxy", message);
        problems.push(problem.expecting("a `clusterPort` beside it"));
    } else if leads_here && accept == AcceptProxy::Absent {
        let message = "the ingress begins every connection with a header, which will reach the unit as if its client \
                       had said it";
        let hint = "write `acceptProxy: required`, or leave the line out".to_owned();
        problems.push(value.warning(message).hinting(Some(hint)));
    }
    (send, accept)
}

fn read_host_port(
    fields: &Fields<'_>,
    pod: &mut Pod<'_>,
    problems: &mut Problems,
) -> Option<HostPort> {
    let value = fields.get("hostPort")?;
    let port: HostPort = value.parsed(HostPort::RULE, problems)?;
    if let Some(first) = pod.host_ports.get(&port) {
        let problem = value.error(format!("host port {port} is used twice in this pod"));
        problems.push(
            problem
                .expecting("a host port of its own")
                .hinting(Some(format!("it is used first at {first}"))),
        );
    } else {
        pod.host_ports.insert(port, value.path.clone());
    }
    if matches!(port.get(), 32767 | 61000..=63999) {
        problems.push(value.warning(format!(
            "host port {port} is one of those that the cluster uses itself: 32767 and 61000 to 63999"
        )));
    }
    Some(port)
}

/// A host port leads to a target port, and so does a cluster port; a pod without units has none, its program
/// knows where it listens. Where a unit listens on its host port itself, a cluster port has nothing else to
/// lead to.
fn refuse_missing_ports(fields: &Fields<'_>, pod: &Pod<'_>, problems: &mut Problems) {
    let has = |key: &str| fields.get(key).is_some();
    let has_units = !pod.shape.units.is_empty();
    let wants_target = ["hostPort", "clusterPort"]
        .into_iter()
        .find(|key| has_units && has(key));
    if let Some(key) = wants_target.filter(|_| !has("targetPort")) {
        let problem = fields.key_error(
            "targetPort",
            format!("`{key}` leads nowhere: `targetPort` is missing"),
        );
        problems.push(problem.expecting("the port that the unit listens on, from 1 to 65535"));
    }
    if has("clusterPort") && !has("hostPort") && pod.shape.listens_on_host {
        let message = format!(
            "a unit with `runtime: {}` listens on its host port, and `hostPort` is missing",
            pod.shape.kind
        );
        let hint = "add `hostPort: ${HOSTPORTAUTO1}`".to_owned();
        problems.push(fields.key_error("clusterPort", message).hinting(Some(hint)));
    }
    if has("hostInterface") && !has("hostPort") {
        let problem = fields.key_error(
            "hostInterface",
            "`hostInterface` has no effect without `hostPort`",
        );
        problems.push(problem.expecting("a `hostPort` beside it"));
    }
}

fn read_interface(fields: &Fields<'_>, problems: &mut Problems) -> Option<IpAddr> {
    fields
        .get("hostInterface")?
        .parsed("an IP address of the host, as in 127.0.0.1", problems)
}

/// A rule that leads to the unit needs a cluster port that may be reached from the Internet.
fn refuse_unreachable(
    fields: &Fields<'_>,
    cluster_port: Option<ClusterPort>,
    problems: &mut Problems,
) {
    match cluster_port {
        Some(port) if port.is_internal() => {
            let message = format!(
                "cluster port {port} may not be reached from outside, but an ingress rule leads to it"
            );
            let expected = format!("a cluster port below {}", ClusterPort::FIRST_INTERNAL);
            problems.push(fields.key_error("clusterPort", message).expecting(expected));
        }
        None if fields.get("clusterPort").is_none() => {
            let problem = fields.key_error(
                "ingress",
                "an ingress rule leads to this port, and `clusterPort` is missing",
            );
            problems
                .push(problem.hinting(Some("add `clusterPort: ${CLUSTERPORTAUTO1}`".to_owned())));
        }
        _ => {}
    }
}
