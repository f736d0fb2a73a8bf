//! `info`: what a pod consists of, in the layout of the original, mounts separated by spaces.

use std::fmt::{self, Write};

use podspec::{Unit, VolumeKind};
use serde_json::json;

use super::PodFile;
use crate::driver::{mounts, ports};

impl PodFile {
    /// What the pod consists of.
    #[must_use]
    pub fn info(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = self.write_info(&mut text);
        text
    }

    /// The compiled pod as JSON, on one line.
    #[must_use]
    pub fn info_json(&self) -> String {
        format!("{}\n", json!(self.pod))
    }

    fn write_info(&self, text: &mut String) -> fmt::Result {
        let pod = &self.pod;
        let host_ports = pod
            .units
            .iter()
            .flat_map(|unit| &unit.expose)
            .filter_map(|port| port.host_port);
        let volumes = pod
            .volumes
            .iter()
            .filter(|volume| matches!(volume.kind, VolumeKind::Volume { .. }));
        let ramdisks = pod.volumes.iter().filter_map(|volume| match volume.kind {
            VolumeKind::Ramdisk { size_mib } => Some(format!("{}:{size_mib}M", volume.name)),
            VolumeKind::Config { .. } | VolumeKind::Volume { .. } | VolumeKind::Host { .. } => None,
        });
        line(text, "pod", &format!("{}-{}", pod.pod, pod.pod_version))?;
        line(text, "podVersion", &pod.pod_version.to_string())?;
        line(text, "runtime", &pod.runtime)?;
        line(text, "hostPorts", &joined(host_ports))?;
        line(
            text,
            "labels",
            &joined(
                pod.labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}")),
            ),
        )?;
        line(
            text,
            "volumes",
            &joined(volumes.map(|volume| volume.name.clone())),
        )?;
        line(text, "ramdisks", &joined(ramdisks))?;
        line(text, "containers", "")?;
        pod.units
            .iter()
            .try_for_each(|unit| self.write_unit(text, unit))
    }

    fn write_unit(&self, text: &mut String, unit: &Unit) -> fmt::Result {
        let pod = &self.pod;
        let own = |key: &str| {
            unit.spec
                .get(key)
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
        };
        let configs = pod.volumes.iter().filter(|volume| {
            matches!(volume.kind, VolumeKind::Config { .. })
                && unit.mounts.iter().any(|mount| mount.volume == volume.name)
        });
        let name = format!("{}-{}-{}", unit.name, pod.pod, pod.pod_version);
        line(text, "    - name", unit.name.as_str())?;
        line(text, "      container", &name)?;
        line(text, "      image", own("image"))?;
        line(
            text,
            "      configs",
            &joined(configs.map(|volume| volume.name.clone())),
        )?;
        line(text, "      restart", &unit.restart.to_string())?;
        line(text, "      mounts", &mounts(pod, unit))?;
        line(text, "      ports", &ports(unit))?;
        line(text, "      network", own("network"))
    }
}

fn line(text: &mut String, key: &str, value: &str) -> fmt::Result {
    let separator = if value.is_empty() { "" } else { " " };
    writeln!(text, "{key}:{separator}{value}")
}

fn joined<T: fmt::Display>(values: impl Iterator<Item = T>) -> String {
    values
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}
