//! Which configs of a pod are encrypted, and which files they hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use names::{PodName, VolumeName};
use podspec::VolumeKind;

use super::SecretPath;
use crate::command_error::CommandError;
use crate::config_dirs;
use crate::pod_sources::PodSource;
use crate::project::{Cluster, Selected};
use crate::ui::Ui;
use crate::variables::{self, Source};

/// One file of an encrypted config.
#[derive(Debug, Clone)]
pub(crate) struct EncryptedFile {
    /// Its name.
    pub(crate) name: SecretPath,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// What it holds: encrypted, or so it should be.
    pub(crate) bytes: Vec<u8>,
    /// True for a program.
    pub(crate) is_executable: bool,
}

/// The encrypted configs of a pod, as its pod.yaml names them now; where that is not on this machine, as its
/// compiled releases do.
pub(crate) fn declared(
    cluster: &Cluster<'_>,
    pod: &PodName,
    ui: &Ui,
) -> Result<BTreeSet<VolumeName>, CommandError> {
    let has_source = cluster.pod_path().join(pod.as_str()).exists();
    if has_source {
        let text = PodSource::find(cluster, pod, None, ui)?.pod_yaml()?;
        return of_text(cluster, pod, &text);
    }
    let mut names = BTreeSet::new();
    for host in cluster.hosts()? {
        for id in host.releases()?.into_iter().filter(|id| id.pod == *pod) {
            let dir = host.dir.release(&id);
            let host = host.clone();
            if let Some(compiled) = (Selected { host, id, dir }).compiled()? {
                names.extend(of_compiled(&compiled));
            }
        }
    }
    Ok(names)
}

/// The encrypted configs of a compiled pod.
pub(super) fn of_compiled(pod: &podspec::CompiledPod) -> impl Iterator<Item = VolumeName> {
    pod.volumes.iter().filter_map(|volume| match volume.kind {
        VolumeKind::Config { encrypted: true } => Some(volume.name.clone()),
        _ => None,
    })
}

fn of_text(
    cluster: &Cluster<'_>,
    pod: &PodName,
    text: &str,
) -> Result<BTreeSet<VolumeName>, CommandError> {
    let vars = cluster.vars()?;
    let mut value = |variable: &str| match variables::source(pod, variable) {
        // Any number will do: no config depends on it.
        Source::AutomaticPort => Some("1".to_owned()),
        Source::PodVersion => None,
        Source::ClusterVars { name, .. } => Some(vars.get(&name).unwrap_or_default().to_owned()),
    };
    let text = podspec::preprocess(text, &mut value).text;
    Ok(podspec::encrypted_configs(&text))
}

/// All files of the encrypted configs of a pod in the project, sorted.
pub(crate) fn files(
    cluster: &Cluster<'_>,
    pod: &PodName,
    configs: &BTreeSet<VolumeName>,
) -> Result<Vec<EncryptedFile>, CommandError> {
    let mut found = Vec::new();
    for config in configs {
        let directory = cluster.files.config_dir(pod).join(config.as_str());
        if directory.is_dir() {
            found.extend(files_in(&directory, pod, config)?);
        }
    }
    Ok(found)
}

/// The files of one config in a directory.
pub(super) fn files_in(
    directory: &Path,
    pod: &PodName,
    config: &VolumeName,
) -> Result<Vec<EncryptedFile>, CommandError> {
    let content = config_dirs::read(directory)?;
    let mut found = Vec::new();
    for (file, mark) in content.files {
        let path = directory.join(&file);
        let bytes = fs::read(&path).map_err(|error| {
            CommandError::files(format!("could not read {}", path.display()), error)
        })?;
        found.push(EncryptedFile {
            name: SecretPath {
                pod: pod.clone(),
                config: config.clone(),
                file: PathBuf::from(file),
            },
            path,
            bytes,
            is_executable: mark.executable,
        });
    }
    Ok(found)
}
