//! The verbs of the Pod API that only read: what `./pod info`, `ps`, `readiness` and `logs` show. They
//! read the files of the release and never ask the daemon.

mod follow;
mod info;
pub mod logs;
mod ps;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hostfiles::ReleaseDir;
use names::{ReleaseId, UnitName};
use podspec::{CompiledError, CompiledPod};

/// The version of the Pod API that these verbs are part of.
const API: &str = "1.0.0-beta2";

/// Why a pod cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The file cannot be read.
    #[error("cannot read the pod {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// It does not lie where the pod of a release does.
    #[error("cannot tell the pod and the version of {}: expected …/POD/release/VERSION/pod", .0.display())]
    Nowhere(PathBuf),
    /// It is not a compiled pod.
    #[error("cannot use {} as a pod", .0.display())]
    NotAPod(PathBuf, #[source] Box<CompiledError>),
    /// Its status cannot be read.
    #[error("cannot read the status of the pod")]
    Status(#[source] Box<hostfiles::ReadError>),
    /// A name that no unit has.
    #[error("pod {pod} has no unit `{name}`: expected {known}")]
    NoUnit {
        /// The pod.
        pod: String,
        /// The name that was given.
        name: String,
        /// The names that there are.
        known: String,
    },
}

/// One compiled pod in the directory of its release.
#[derive(Debug)]
pub struct PodFile {
    pod: CompiledPod,
    release: ReleaseDir,
}

impl PodFile {
    /// Reads the compiled pod.
    ///
    /// # Errors
    /// There is none.
    pub fn open(path: PathBuf) -> Result<Self, PodError> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return Err(PodError::Unreadable(path, error)),
        };
        let directory = path
            .parent()
            .filter(|parent| *parent != Path::new(""))
            .unwrap_or(Path::new("."));
        let release = ReleaseDir::new(directory);
        let pod = CompiledPod::from_text(&text)
            .map_err(|error| PodError::NotAPod(path, Box::new(error)))?;
        Ok(Self { pod, release })
    }

    /// The compiled pod.
    #[must_use]
    pub fn pod(&self) -> &CompiledPod {
        &self.pod
    }

    /// The directory of its release.
    #[must_use]
    pub fn release(&self) -> &ReleaseDir {
        &self.release
    }

    /// The unit of this name, or the last one.
    ///
    /// # Errors
    /// There is none.
    pub fn unit(&self, name: Option<&str>) -> Result<&UnitName, PodError> {
        let mut units = self.pod.units.iter().map(|unit| &unit.name);
        let found = match name {
            Some(name) => units.find(|unit| unit.as_str() == name),
            None => units.next_back(),
        };
        let known = self.pod.units.iter().map(|unit| &unit.name);
        found.ok_or_else(|| no_unit(&self.pod.release(), name.unwrap_or_default(), known))
    }

    /// The versions of Pod API, runtime and pod.
    #[must_use]
    pub fn version(&self) -> String {
        format!(
            "apiVersion {API}\nruntime {}\npodVersion {}\n",
            self.pod.runtime, self.pod.pod_version
        )
    }
}

fn no_unit<'u>(
    pod: &ReleaseId,
    name: &str,
    known: impl IntoIterator<Item = &'u UnitName>,
) -> PodError {
    let known: Vec<&str> = known.into_iter().map(UnitName::as_str).collect();
    PodError::NoUnit {
        pod: pod.to_string(),
        name: name.to_owned(),
        known: known.join(", "),
    }
}
