//! `info`: what a pod consists of, in the layout of the original, mounts separated by spaces.

use std::fmt::{self, Write};

use podspec::{Unit, VolumeKind};
use serde_json::json;

use super::PodFile;
use crate::driver::{mounts, network, ports};

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
        line(text, "      network", network(unit))
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

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "\
format: 1
pod: shop
podVersion: 1.0.0
runtime: podman
labels: {tier: front}
volumes:
- {name: conf, type: config}
- {name: data, type: volume, shared: pod}
- {name: src, type: host, bind: /srv/src}
- {name: tmp, type: ramdisk, sizeMib: 10}
units:
- name: web
  restart: on-failure
  mounts:
  - {volume: conf, dest: /etc/web}
  - {volume: data, dest: /data}
  - {volume: src, dest: /src}
  - {volume: tmp, dest: /tmp}
  expose:
  - {targetPort: 80, hostPort: 8080, hostInterface: 127.0.0.1, maxConn: 1}
  - {targetPort: 81, hostPort: 8081, maxConn: 1}
  spec: {image: 'registry.example:5000/web:1.0.0'}
- name: watch
  spec: {image: watch, hostNetwork: true}
";

    #[test]
    fn a_pod_of_containers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pod");
        let text = format!("{}\n{POD}", podspec::FIRST_LINE);
        hostfiles::replace(&path, text.as_bytes(), 0o755).unwrap();
        let expected = "\
pod: shop-1.0.0
podVersion: 1.0.0
runtime: podman
hostPorts: 8080 8081
labels: tier=front
volumes: data
ramdisks: tmp:10M
containers:
    - name: web
      container: web-shop-1.0.0
      image: registry.example:5000/web:1.0.0
      configs: conf
      restart: on-failure
      mounts: ./config/conf:/etc/web data:/data /srv/src:/src ./ramdisk/tmp:/tmp
      ports: 127.0.0.1:8080:80 8081:81
      network:
    - name: watch
      container: watch-shop-1.0.0
      image: watch
      configs:
      restart: never
      mounts:
      ports:
      network: host
";
        assert_eq!(PodFile::open(path).unwrap().info(), expected);
    }
}
