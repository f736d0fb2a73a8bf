//! The Cluster Project as the commands see it: opened once, hosts and pods by name, with "did you mean"
//! where a name does not exist. Where the files lie and what they look like is `hostfiles`' business.

mod host;
mod ignored;
mod journal;
mod lock;
mod overlooked;
mod port_uses;
mod select;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hostfiles::{ClusterId, ClusterVars, Project};
use names::{HostName, PodName};

use crate::command_error::CommandError;
use crate::environment::Environment;
use crate::suggest::did_you_mean;

pub(crate) use host::{Host, home_path, home_place};
pub(crate) use journal::log_line as journal_line;
pub(crate) use lock::ProjectLock;
pub(crate) use select::{Selected, VersionDefault};

/// How to say which project is meant.
const OTHER_PROJECT: &str =
    "name its directory with --project or CLUSTERPATH, or make one with `sns cluster create`";

/// An opened Cluster Project.
pub(crate) struct Cluster<'a> {
    /// Where its files lie.
    pub(crate) files: Project,
    /// Which cluster it is.
    pub(crate) id: ClusterId,
    /// The environment of this run.
    pub(crate) environment: &'a Environment,
}

impl<'a> Cluster<'a> {
    /// Opens the project that the options name, or the one that the user stands in.
    pub(crate) fn open(
        environment: &'a Environment,
        named: Option<&Path>,
    ) -> Result<Self, CommandError> {
        let files = match named.or(environment.cluster_path.as_deref()) {
            Some(directory) => at(&environment.current_dir.join(directory))?,
            None => Project::find(&environment.current_dir)
                .map_err(|_| outside(&environment.current_dir))?,
        };
        let id = hostfiles::read(&files.cluster_id())?;
        Ok(Self {
            files,
            id,
            environment,
        })
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        self.files.path()
    }

    /// A path of the project as people want to read it: relative to the project.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.path())
            .unwrap_or(path)
            .display()
            .to_string()
    }

    /// The variables of the cluster.
    pub(crate) fn vars(&self) -> Result<ClusterVars, CommandError> {
        let file = self.files.vars();
        hostfiles::read_if_present(&file)?.ok_or_else(|| {
            CommandError::mistake("the project has no cluster-vars.env")
                .hint(format!("make an empty one: touch {}", file.display()))
        })
    }

    /// Where the pods' repositories lie.
    pub(crate) fn pod_path(&self) -> PathBuf {
        match &self.environment.pod_path {
            Some(path) => self.environment.current_dir.join(path),
            None => self.files.pods_clones(),
        }
    }

    /// All hosts, sorted by name.
    pub(crate) fn hosts(&self) -> Result<Vec<Host>, CommandError> {
        self.host_names()?
            .iter()
            .map(|name| Host::read(self, name))
            .collect()
    }

    /// The host of that name.
    pub(crate) fn host(&self, name: &HostName) -> Result<Host, CommandError> {
        let known = self.host_names()?;
        if known.contains(name) {
            return Host::read(self, name);
        }
        Err(
            CommandError::mistake(format!("there is no host `{name}` in the project"))
                .hint_if(did_you_mean(
                    name.as_str(),
                    known.iter().map(HostName::as_str),
                ))
                .hint("`sns host ls -a` lists them, `sns host register` adds one"),
        )
    }

    /// The names of all hosts, sorted.
    pub(crate) fn host_names(&self) -> Result<Vec<HostName>, CommandError> {
        let failed = |error| {
            CommandError::files(
                format!("could not list the hosts in {}", self.path().display()),
                error,
            )
        };
        for entry in fs::read_dir(self.path()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                check_readable(&entry.path())?;
            }
        }
        self.files.hosts().map_err(failed)
    }

    /// The names of all pods that are attached anywhere, sorted.
    pub(crate) fn attached_pods(&self) -> Result<Vec<PodName>, CommandError> {
        let mut pods = Vec::new();
        for host in self.hosts()? {
            pods.extend(host.attached()?);
        }
        pods.sort();
        pods.dedup();
        Ok(pods)
    }
}

/// Nobody can tell whether a directory that cannot be entered is a host, so it must not pass for none.
fn check_readable(directory: &Path) -> Result<(), CommandError> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    if name.parse::<HostName>().is_err() {
        return Ok(());
    }
    match fs::metadata(directory.join("host.env")) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(CommandError::files(
                format!("could not read the host directory {}", directory.display()),
                error,
            ))
        }
        _ => Ok(()),
    }
}

fn outside(directory: &Path) -> CommandError {
    CommandError::mistake(format!(
        "{} is not inside a Cluster Project: no cluster-id.txt here or in a directory above",
        directory.display()
    ))
    .hint(OTHER_PROJECT)
}

fn at(directory: &Path) -> Result<Project, CommandError> {
    let project = Project::new(directory);
    if project.cluster_id().is_file() {
        return Ok(project);
    }
    Err(CommandError::mistake(format!(
        "{} is not a Cluster Project: it has no cluster-id.txt",
        directory.display()
    ))
    .hint(OTHER_PROJECT))
}
