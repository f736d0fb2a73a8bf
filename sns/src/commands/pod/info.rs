//! `sns pod info POD`.

use clap::Args;
use hostfiles::{PortMapping, PortMappings};
use podspec::{CompiledPod, Unit, VolumeKind};
use serde_json::{Value, json};

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::designation::Designation;
use crate::project::{Selected, VersionDefault};

/// Show what a compiled pod consists of, host by host
///
/// Reads the project; nothing is executed and no host is asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod info web
  sns pod info web:1.0.0@laptop --json")]
pub(crate) struct InfoArgs {
    /// The pod; the version is the latest unless named, the hosts are all unless named
    #[arg(value_name = "POD[:VERSION][@HOST]")]
    pod: Designation,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Shows them.
pub(crate) fn run(context: &Context<'_>, args: &InfoArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let mut list = Vec::new();
    for release in cluster.releases(&args.pod, VersionDefault::Latest)? {
        let compiled = release.compiled()?;
        if args.json {
            let pod = serde_json::to_value(&compiled).unwrap_or(Value::Null);
            list.push(json!({ "host": release.host.name, "release": release.id, "pod": pod }));
            continue;
        }
        context.ui.result(&format!("host: {}", release.host.name));
        match compiled {
            Some(pod) => lines(&pod).iter().for_each(|line| context.ui.result(line)),
            None => program_lines(&release)?
                .iter()
                .for_each(|line| context.ui.result(line)),
        }
    }
    if args.json {
        context.ui.json(&list.into());
    }
    Ok(())
}

/// What is known of a program without executing it.
fn program_lines(release: &Selected) -> Result<Vec<String>, CommandError> {
    let path = release.dir.portmappings();
    let mappings: Vec<PortMapping> = hostfiles::read_if_present::<PortMappings>(&path)?
        .unwrap_or_default()
        .0;
    let hosts = mappings.iter().map(|mapping| mapping.host_port.to_string());
    let clusters = mappings
        .iter()
        .map(|mapping| mapping.cluster_port.to_string());
    Ok(vec![
        format!("pod: {}-{}", release.id.pod, release.id.version),
        format!("podVersion: {}", release.id.version),
        "runtime: executable".to_owned(),
        key("hostPorts", hosts),
        key("clusterPorts", clusters),
    ])
}

/// The lines of the original's `info`, with what is ours in between.
fn lines(pod: &CompiledPod) -> Vec<String> {
    let ports = pod
        .units
        .iter()
        .flat_map(|unit| &unit.expose)
        .filter_map(|expose| expose.host_port);
    let labels = pod
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let plain = pod
        .volumes
        .iter()
        .filter(|volume| !matches!(volume.kind, VolumeKind::Ramdisk { .. }));
    let ramdisks = pod.volumes.iter().filter_map(|volume| match volume.kind {
        VolumeKind::Ramdisk { size_mib } => Some(format!("{}:{size_mib}M", volume.name)),
        _ => None,
    });
    let mut lines = vec![
        format!("pod: {}-{}", pod.pod, pod.pod_version),
        format!("podVersion: {}", pod.pod_version),
        format!("runtime: {}", pod.runtime),
        key("hostPorts", ports.map(|port| port.to_string())),
        key("labels", labels),
        key("volumes", plain.map(|volume| volume.name.to_string())),
        key("ramdisks", ramdisks),
    ];
    if let Some(plugin) = &pod.plugin {
        lines.insert(
            3,
            format!("plugin: {} {} {}", plugin.id, plugin.version, plugin.digest),
        );
    }
    lines.push("containers:".to_owned());
    pod.units
        .iter()
        .for_each(|unit| lines.extend(unit_lines(pod, unit)));
    lines
}

fn unit_lines(pod: &CompiledPod, unit: &Unit) -> Vec<String> {
    let is_config = |name: &names::VolumeName| {
        pod.volumes
            .iter()
            .any(|volume| &volume.name == name && matches!(volume.kind, VolumeKind::Config { .. }))
    };
    let configs = unit
        .mounts
        .iter()
        .filter(|mount| is_config(&mount.volume))
        .map(|mount| mount.volume.to_string());
    let ports = unit.expose.iter().filter_map(|expose| {
        let interface = expose
            .host_interface
            .map(|ip| format!("{ip}:"))
            .unwrap_or_default();
        Some(format!(
            "{interface}{}:{}",
            expose.host_port?, expose.target_port?
        ))
    });
    let clusters = unit
        .expose
        .iter()
        .filter_map(|expose| expose.cluster_port.map(|port| port.to_string()));
    let mut lines = vec![
        format!("    - name: {}", unit.name),
        format!(
            "      container: {}-{}-{}",
            unit.name, pod.pod, pod.pod_version
        ),
    ];
    let mut more = |line: String| lines.push(format!("      {line}"));
    if let Some(image) = unit.spec.get("image").and_then(Value::as_str) {
        more(format!("image: {image}"));
    }
    more(key("configs", configs));
    more(format!("restart: {}", unit.restart));
    more(key(
        "mounts",
        unit.mounts
            .iter()
            .map(|mount| format!("{}:{}", mount.volume, mount.dest)),
    ));
    more(key("ports", ports));
    more(key("clusterPorts", clusters));
    if unit.spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        more("network: host".to_owned());
    }
    lines
}

/// `key: a b c`, or `key:` when there is nothing.
fn key(key: &str, values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    format!("{key}: {}", values.join(" ")).trim_end().to_owned()
}
