//! One release as its directory has it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use hostfiles::{PortMapping, PortMappings, ReleaseDir, read_if_present};
use names::{PodState, ReleaseId, VolumeName};
use podspec::{CompiledPod, VolumeKind};

use super::configs;
use crate::foreign::program_of;
use crate::log::one_line;

/// What one release should be. What could not be read is a line for people.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredRelease {
    /// What should become of it; none when nothing says so: then a person does, by hand.
    pub state: Result<Option<PodState>, String>,
    /// The compiled pod.
    pub pod: Result<Arc<CompiledPod>, String>,
    /// The program that obeys the Pod API itself and has taken the place of the compiled pod, if one has; or
    /// why it cannot be called.
    pub program: Option<Result<(), String>>,
    /// A checksum of the content of each config that is there.
    pub configs: BTreeMap<VolumeName, String>,
    /// The programs of the host home, as far as one change of them is told from another.
    pub programs: String,
    /// Cluster ports that lead to it while it is ready.
    pub mappings: Vec<PortMapping>,
    /// Why the mappings could not be read.
    pub mappings_problem: Option<String>,
}

impl DesiredRelease {
    /// Everything that could not be read, in one line.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let problems = [
            self.pod.as_ref().err().filter(|_| self.program.is_none()),
            self.program.as_ref().and_then(|found| found.as_ref().err()),
            self.state.as_ref().err(),
            self.mappings_problem.as_ref(),
        ];
        let lines: Vec<&str> = problems.into_iter().flatten().map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

/// What was read of a release the last time.
#[derive(Debug, Default)]
pub struct Reading {
    pod: Option<(Stamp, Result<Arc<CompiledPod>, String>)>,
}

/// Distinguishes the versions of a file that is replaced, and notices most other changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self {
            inode: meta.ino(),
            length: meta.len(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// What tells the programs of a host home from those of another time.
pub(super) fn programs(directory: &Path) -> String {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut marks: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let stamp = Stamp::of(&entry.path()).ok()?;
            Some(format!("{} {stamp:?}", entry.file_name().display()))
        })
        .collect();
    marks.sort_unstable();
    marks.join("\n")
}

impl Reading {
    /// Reads the release in this directory.
    pub fn read(&mut self, id: &ReleaseId, directory: &ReleaseDir) -> DesiredRelease {
        let pod = self.pod(id, &directory.pod());
        let program = pod.as_ref().err().and_then(|_| program_of(directory));
        let configs = match &pod {
            Ok(pod) => checksums(configs_of(pod), directory),
            Err(_) if program.is_some() => checksums(configs_in(directory), directory),
            Err(_) => BTreeMap::new(),
        };
        let (mappings, mappings_problem) =
            match read_if_present::<PortMappings>(&directory.portmappings()) {
                Ok(mappings) => (mappings.unwrap_or_default().0, None),
                Err(error) => (Vec::new(), Some(one_line(&error))),
            };
        let state = read_if_present(&directory.state()).map_err(|error| one_line(&error));
        DesiredRelease {
            state,
            pod,
            program,
            configs,
            programs: String::new(),
            mappings,
            mappings_problem,
        }
    }

    fn pod(&mut self, id: &ReleaseId, path: &Path) -> Result<Arc<CompiledPod>, String> {
        let stamp =
            Stamp::of(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if let Some((known, pod)) = &self.pod
            && *known == stamp
        {
            return pod.clone();
        }
        let pod = read_pod(id, path);
        self.pod = Some((stamp, pod.clone()));
        pod
    }
}

/// Reads the compiled pod of a release.
pub(crate) fn read_pod(id: &ReleaseId, path: &Path) -> Result<Arc<CompiledPod>, String> {
    let refuse = |error: &dyn std::error::Error| {
        format!("cannot read {}: {}", path.display(), one_line(error))
    };
    let text = fs::read_to_string(path).map_err(|error| refuse(&error))?;
    let pod = CompiledPod::from_text(&text).map_err(|error| refuse(&error))?;
    if pod.release() != *id {
        return Err(format!(
            "{} is the pod {}: it lies in the directory of {id}",
            path.display(),
            pod.release()
        ));
    }
    Ok(Arc::new(pod))
}

fn configs_of(pod: &CompiledPod) -> impl Iterator<Item = VolumeName> {
    let configs = pod
        .volumes
        .iter()
        .filter(|volume| matches!(volume.kind, VolumeKind::Config { .. }));
    configs.map(|volume| volume.name.clone())
}

/// A foreign pod does not say which configs it reads: all that are there.
fn configs_in(directory: &ReleaseDir) -> impl Iterator<Item = VolumeName> + use<> {
    let entries = fs::read_dir(directory.configs_dir());
    let names = entries.into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn checksums(
    names: impl Iterator<Item = VolumeName>,
    directory: &ReleaseDir,
) -> BTreeMap<VolumeName, String> {
    names
        .filter_map(|name| {
            let checksum = configs::checksum(&directory.config(&name)).ok()?;
            Some((name, checksum))
        })
        .collect()
}
