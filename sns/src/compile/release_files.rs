//! The files of a release that follow from the compiled pod: `pod`, its port mappings, its ingress rules.

use hostfiles::{
    Format as _, IngressAction, IngressBlock, IngressConf, IngressProtocol, PortMapping,
    PortMappings, ReleaseDir,
};
use podspec::{CompiledPod, Expose, IngressRule, Protocol};

use crate::command_error::{CommandError, Kind};

/// What a pod.yaml became.
pub(super) enum Resolved {
    /// A pod whose units are known.
    Compiled(Box<CompiledPod>),
    /// A foreign program that obeys the Pod API, as it is, and its ports.
    Program(Vec<u8>, Vec<Expose>),
}

/// Writes them. Files that would be empty are not made.
pub(super) fn write(files: &ReleaseDir, resolved: &Resolved) -> Result<(), CommandError> {
    let exposed: Vec<&Expose> = match resolved {
        Resolved::Program(program, exposes) => {
            hostfiles::replace(&files.pod(), program, 0o755)?;
            exposes.iter().collect()
        }
        Resolved::Compiled(pod) => {
            write_pod(files, pod)?;
            pod.units.iter().flat_map(|unit| &unit.expose).collect()
        }
    };
    let mappings = port_mappings(&exposed);
    if !mappings.0.is_empty() {
        hostfiles::replace(&files.portmappings(), mappings.to_text().as_bytes(), 0o644)?;
    }
    let ingress = ingress(&exposed);
    if !ingress.0.is_empty() {
        hostfiles::replace(&files.ingress(), ingress.to_text().as_bytes(), 0o644)?;
    }
    Ok(())
}

fn write_pod(files: &ReleaseDir, pod: &CompiledPod) -> Result<(), CommandError> {
    let text = pod.to_text().map_err(|error| {
        CommandError::new(
            Kind::Internal,
            "the plugin resolved the pod to something that cannot be written",
        )
        .caused_by(error)
    })?;
    hostfiles::replace(&files.pod(), text.as_bytes(), 0o755)?;
    Ok(())
}

/// One line for every port that the cluster can reach.
fn port_mappings(exposed: &[&Expose]) -> PortMappings {
    let mappings = exposed.iter().filter_map(|expose| {
        Some(PortMapping {
            cluster_port: expose.cluster_port?,
            host_port: expose.host_port?,
            max_conn: expose.max_conn,
            send_proxy: expose.send_proxy,
        })
    });
    PortMappings(mappings.collect())
}

/// One block for every rule, in the order of the pod.yaml.
fn ingress(exposed: &[&Expose]) -> IngressConf {
    let rules = exposed
        .iter()
        .flat_map(|expose| expose.ingress.iter().map(move |rule| (expose, rule)));
    IngressConf(
        rules
            .filter_map(|(expose, rule)| block(expose, rule))
            .collect(),
    )
}

/// A rule that leads to the pod needs a cluster port, which podspec insists on.
fn block(expose: &Expose, rule: &IngressRule) -> Option<IngressBlock> {
    let action = match &rule.action {
        podspec::IngressAction::Server => IngressAction::Server(expose.cluster_port?),
        podspec::IngressAction::RedirectToHttps => IngressAction::RedirectToHttps,
        podspec::IngressAction::RedirectLocation(url) => {
            IngressAction::RedirectLocation(url.clone())
        }
        podspec::IngressAction::RedirectPrefix(prefix) => {
            IngressAction::RedirectPrefix(prefix.clone())
        }
        podspec::IngressAction::ErrorFile { code, path } => {
            IngressAction::ErrorFile(format!("{code} {path}"))
        }
    };
    Some(IngressBlock {
        bind: rule.bind,
        protocol: match rule.protocol {
            Protocol::Http => IngressProtocol::Http,
            Protocol::Https => IngressProtocol::Https,
            Protocol::Tcp => IngressProtocol::Tcp,
        },
        hosts: rule.domains.clone(),
        weight: rule.weight,
        path: rule.path.clone(),
        path_beg: rule.path_beg.clone(),
        path_end: rule.path_end.clone(),
        action,
    })
}
