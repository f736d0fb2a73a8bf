//! The files of a release that follow from the compiled pod: `pod`, its port mappings, its ingress rules.

use std::fs;
use std::io;
use std::path::Path;

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

impl Resolved {
    fn exposed(&self) -> Vec<&Expose> {
        match self {
            Self::Program(_, exposes) => exposes.iter().collect(),
            Self::Compiled(pod) => pod.units.iter().flat_map(|unit| &unit.expose).collect(),
        }
    }
}

/// Writes them. Files that would be empty are not made.
pub(super) fn write(files: &ReleaseDir, resolved: &Resolved) -> Result<(), CommandError> {
    match resolved {
        Resolved::Program(program, _) => {
            hostfiles::replace(&files.pod(), program, 0o755)?;
        }
        Resolved::Compiled(pod) => write_pod(files, pod)?,
    }
    let exposed = resolved.exposed();
    let mappings = port_mappings(&exposed);
    write_or_remove(
        &files.portmappings(),
        &mappings.to_text(),
        mappings.0.is_empty(),
    )?;
    let ingress = ingress(&exposed);
    write_or_remove(&files.ingress(), &ingress.to_text(), ingress.0.is_empty())
}

/// An earlier compile in the same place may have left a file that would be empty now.
fn write_or_remove(path: &Path, text: &str, is_empty: bool) -> Result<(), CommandError> {
    if !is_empty {
        hostfiles::replace(path, text.as_bytes(), 0o644)?;
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(CommandError::files(
            format!("could not remove {}", path.display()),
            error,
        )),
        _ => Ok(()),
    }
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

/// One line for every port that the cluster can reach through a port of the host.
fn port_mappings(exposed: &[&Expose]) -> PortMappings {
    let mappings = exposed.iter().filter_map(|expose| {
        Some(PortMapping {
            cluster_port: expose.cluster_port?,
            host_port: expose.host_port?,
            max_conn: expose.max_conn,
            send_proxy: expose.send_proxy.is_wanted(),
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
