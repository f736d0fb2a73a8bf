//! What the parts of a pod are called on a host: names of volumes, paths of mounts, numbers of limits.

use std::collections::BTreeMap;

use podspec::{CompiledPod, Limits, Shared, Volume, VolumeKind};

/// A name that no other host home of the machine uses.
pub(super) fn qualified(name: &str, facts: &BTreeMap<String, String>) -> String {
    match facts.get("host-id").filter(|id| !id.is_empty()) {
        Some(id) => format!("{name}-{id}"),
        None => name.to_owned(),
    }
}

/// What the host knows a volume by: a path, or its name there.
pub(super) fn source(
    pod: &CompiledPod,
    volume: &Volume,
    facts: &BTreeMap<String, String>,
) -> Option<String> {
    let name = &volume.name;
    let inside = |directory: &str| {
        let release = facts.get("release-directory")?;
        Some(format!("{release}/{directory}/{name}"))
    };
    match &volume.kind {
        VolumeKind::Host { bind } => Some(bind.clone()),
        VolumeKind::Config { encrypted: false } => inside("config"),
        // The plain files of an encrypted config lie where a ramdisk of that name would.
        VolumeKind::Config { encrypted: true } | VolumeKind::Ramdisk { .. } => inside("ramdisk"),
        VolumeKind::Volume { shared } => {
            let name = match shared {
                Shared::No => format!("{name}-{}-{}", pod.pod, pod.pod_version),
                Shared::Pod => format!("{name}-{}", pod.pod),
                Shared::Host => name.to_string(),
            };
            Some(qualified(&name, facts))
        }
    }
}

/// The numbers as programs that limit want them: bytes, CPUs, processes.
pub(super) fn limits(limits: &Limits) -> impl Iterator<Item = String> + use<> {
    let memory = limits.memory_bytes.map(|bytes| bytes.to_string());
    let cpu = limits
        .cpu_millis
        .map(|millis| format!("{}.{:03}", millis / 1000, millis % 1000));
    let pids = limits.pids.map(|pids| pids.to_string());
    [memory, cpu, pids].into_iter().flatten()
}
