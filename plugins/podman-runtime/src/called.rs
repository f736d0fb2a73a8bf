//! What podman knows the parts of a pod by: names and labels.
//!
//! The names are those of the original, `web-1.0.0` and `main-web-1.0.0`, with the id of the host home behind
//! them where there is one: two host homes of one user share podman's names.

use crate::pod::{Pod, Unit, Volume};

/// The host home that all labelled things belong to.
pub(crate) const LABEL_HOST: &str = "io.simplenetes.host";
/// The podman pod that a container belongs to.
pub(crate) const LABEL_POD: &str = "io.simplenetes.pod";
/// The version of the pod.
pub(crate) const LABEL_VERSION: &str = "io.simplenetes.version";
/// The unit that a container is.
pub(crate) const LABEL_UNIT: &str = "io.simplenetes.unit";
/// Which specification of the unit a container was made from.
pub(crate) const LABEL_DIGEST: &str = "io.simplenetes.digest";

fn qualified(name: &str, host_id: Option<&str>) -> String {
    match host_id {
        Some(id) => format!("{name}-{id}"),
        None => name.to_owned(),
    }
}

/// The podman pod.
pub(crate) fn pod(pod: &Pod, host_id: Option<&str>) -> String {
    qualified(&format!("{}-{}", pod.pod, pod.pod_version), host_id)
}

/// The container of a unit.
pub(crate) fn container(of: &Pod, unit: &Unit, host_id: Option<&str>) -> String {
    format!("{}-{}", unit.name, pod(of, host_id))
}

/// A volume of type `volume`.
pub(crate) fn volume(pod: &Pod, volume: &Volume, host_id: Option<&str>) -> String {
    let name = &volume.name;
    let name = match volume.shared.as_str() {
        "host" => name.clone(),
        "pod" => format!("{name}-{}", pod.pod),
        _ => format!("{name}-{}-{}", pod.pod, pod.pod_version),
    };
    qualified(&name, host_id)
}

/// The labels that everything of a pod carries, as arguments.
pub(crate) fn labels(of: &Pod, host_id: Option<&str>) -> Vec<String> {
    let mut labels: Vec<String> = of
        .labels
        .iter()
        .map(|(name, value)| format!("--label={name}={value}"))
        .collect();
    labels.extend(marks(of, host_id));
    labels
}

/// The labels by which things are recognised, as arguments.
pub(crate) fn marks(of: &Pod, host_id: Option<&str>) -> Vec<String> {
    let mut marks = vec![
        format!("--label={LABEL_POD}={}", pod(of, host_id)),
        format!("--label={LABEL_VERSION}={}", of.pod_version),
    ];
    if let Some(id) = host_id {
        marks.insert(0, format!("--label={LABEL_HOST}={id}"));
    }
    marks
}
