//! Where the files of a pod lie that is compiled for itself, and whether the place for the compiled pod is
//! free: a directory holds one pod, whose state, logs and configs lie beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hostfiles::{PodPhase, PodStatus, ReleaseDir};
use names::{PodName, ReleaseId};
use podspec::{CompiledPod, Header, Shape};

use crate::command_error::CommandError;
use crate::environment::Environment;

/// What the user has named.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The pod.yaml or its directory; the current directory when empty.
    pub(crate) source: PathBuf,
    /// The pod's name, when it is not that of its directory.
    pub(crate) name: Option<PodName>,
    /// The compiled pod or its directory, when it does not lie beside the pod.yaml.
    pub(crate) target: Option<PathBuf>,
    /// True when variables of the process count too.
    pub(crate) takes_environment: bool,
}

/// The places of one pod.
pub(super) struct Places {
    /// The pod.yaml.
    pub(super) source: PathBuf,
    /// The directory of the pod.yaml, without any link.
    pub(super) directory: PathBuf,
    /// Where the values of its variables are looked for.
    pub(super) vars_file: PathBuf,
    /// The directory of the compiled pod.
    pub(super) target: ReleaseDir,
    current_dir: PathBuf,
}

impl Places {
    pub(super) fn find(environment: &Environment, wanted: &Wanted) -> Result<Self, CommandError> {
        let current_dir = environment.current_dir.clone();
        let named = current_dir.join(&wanted.source);
        let is_directory = named.is_dir();
        let source = if is_directory {
            named.join("pod.yaml")
        } else {
            named
        };
        // Without links, so that the pod finds its files wherever it is called from.
        let source = fs::canonicalize(source.parent().unwrap_or(Path::new("/")))
            .map(|directory| directory.join(source.file_name().unwrap_or_default()))
            .map_err(|error| no_source(&source, is_directory).caused_by(error))?;
        if !source.is_file() {
            return Err(no_source(&source, is_directory));
        }
        let directory = source.parent().unwrap_or(Path::new("/")).to_owned();
        let target = match &wanted.target {
            Some(target) => target_directory(&current_dir.join(target))?,
            None => directory.clone(),
        };
        Ok(Self {
            vars_file: source.with_extension("env"),
            target: ReleaseDir::new(target),
            source,
            directory,
            current_dir,
        })
    }

    /// The name of the directory, if a pod can be called so.
    pub(super) fn pod_name(&self) -> Result<PodName, CommandError> {
        let name = self.directory.file_name().unwrap_or_default();
        name.to_string_lossy()
            .parse()
            .map_err(|error: names::NameError| {
                CommandError::mistake(format!(
                    "a pod cannot be called like its directory {}",
                    self.directory.display()
                ))
                .caused_by(error)
                .hint("name the pod: sns pod compile POD --standalone")
            })
    }

    /// True when the compiled pod lies beside the pod.yaml.
    pub(super) fn is_beside(&self) -> bool {
        self.target.path() == self.directory
    }

    /// Makes the directory of the compiled pod.
    pub(super) fn make_target(&self) -> Result<(), CommandError> {
        fs::create_dir_all(self.target.path()).map_err(|error| {
            let directory = self.shown(self.target.path());
            CommandError::files(format!("could not make the directory {directory}"), error)
        })
    }

    /// Makes sure that no other pod and no file of the user's is in the way.
    pub(super) fn check_target(
        &self,
        release: &ReleaseId,
        header: &Header,
    ) -> Result<(), CommandError> {
        if self.target.state().exists() {
            return Err(CommandError::mistake(format!(
                "{} is the release of a cluster",
                self.target.path().display()
            ))
            .hint(
                "compile the pod where its pod.yaml lies, or name another directory with --outfile",
            ));
        }
        self.check_old_release(release)?;
        match self.old_pod() {
            Ok(None) => Ok(()),
            Ok(Some(old)) if is_replaceable(&old, header) => Ok(()),
            Ok(Some(_)) => Err(CommandError::refused(format!(
                "{} is in the way: it was not compiled by this program",
                self.shown_pod()
            ))
            .hint("move it away, or name another directory with --outfile")),
            Err(error) => Err(CommandError::files(
                format!("could not replace {}", self.shown_pod()),
                error,
            )),
        }
    }

    /// A pod that still exists would be lost from sight, with all that it made.
    fn check_old_release(&self, release: &ReleaseId) -> Result<(), CommandError> {
        let Some(status) = hostfiles::read_if_present::<PodStatus>(&self.target.status())? else {
            return Ok(());
        };
        let name = format!("{}-{}", release.pod, release.version);
        if status.pod == name || status.status == PodPhase::Removed {
            return Ok(());
        }
        let pod = self.shown_pod();
        Err(CommandError::refused(format!(
            "{pod} is {} now ({}), and would be lost from sight as {release}",
            status.pod, status.status
        ))
        .hint(format!("remove it first: {pod} rm")))
    }

    fn old_pod(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.target.pod()) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn shown_source(&self) -> String {
        self.shown(&self.source)
    }

    pub(super) fn shown_vars(&self) -> String {
        self.shown(&self.vars_file)
    }

    /// As a command can be typed.
    pub(super) fn shown_pod(&self) -> String {
        let shown = self.shown(&self.target.pod());
        if shown.starts_with('/') {
            shown
        } else {
            format!("./{shown}")
        }
    }

    /// As short as it can be typed from where the user stands.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.current_dir)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// The directory that holds the compiled pod which the user has named: `DIR/pod`, or `DIR`.
fn target_directory(named: &Path) -> Result<PathBuf, CommandError> {
    let directory = if named.is_dir() {
        named
    } else if named.file_name().is_some_and(|name| name == "pod") {
        named.parent().unwrap_or(named)
    } else {
        return Err(CommandError::mistake(format!(
            "a compiled pod cannot be called {}",
            named.display()
        ))
        .hint("its files lie beside it, so it has a directory of its own: --outfile=DIR/pod"));
    };
    match fs::canonicalize(directory) {
        Ok(directory) => Ok(directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(directory.to_owned()),
        Err(error) => Err(CommandError::files(
            format!("could not look at {}", directory.display()),
            error,
        )),
    }
}

fn no_source(source: &Path, is_directory: bool) -> CommandError {
    let hint = if is_directory {
        "go to the pod's directory, or name it: --standalone DIR"
    } else {
        "name a pod.yaml or its directory"
    };
    CommandError::mistake(format!("there is no {}", source.display())).hint(hint)
}

/// A pod of ours, or the copy of a program where a program is compiled.
fn is_replaceable(old: &[u8], header: &Header) -> bool {
    let is_ours = std::str::from_utf8(old).is_ok_and(|text| CompiledPod::from_text(text).is_ok());
    is_ours || (header.runtime == Shape::EXECUTABLE && podspec::begins_as_program(old))
}
