//! Where the source of a pod is: a git repository on PODPATH, cloned when its link is known, or one of the
//! special pods that `sns` carries.

use std::fs;
use std::path::{Path, PathBuf};

use names::PodName;

use crate::command_error::{CommandError, Kind};
use crate::config_dirs;
use crate::git::{self, Repository, Revision};
use crate::project::Cluster;
use crate::special_pods::{self, SpecialPod};
use crate::suggest::did_you_mean;
use crate::ui::Ui;

/// The source of a pod.
pub(crate) enum PodSource {
    /// A git repository on this machine.
    Repository {
        /// Its directory.
        directory: PathBuf,
        /// The repository.
        git: Repository,
    },
    /// Carried by `sns`.
    Special(SpecialPod),
}

impl PodSource {
    /// Finds the source of a pod; clones it when there is none and a link is given.
    pub(crate) fn find(
        cluster: &Cluster<'_>,
        pod: &PodName,
        link: Option<&str>,
        ui: &Ui,
    ) -> Result<Self, CommandError> {
        let directory = cluster.pod_path().join(pod.as_str());
        if !directory.exists() {
            match (link, special_pods::find(pod.as_str())) {
                (Some(link), _) => fetch(link, &directory, ui)?,
                (None, Some(special)) => return Ok(Self::Special(special)),
                (None, None) => return Err(no_source(pod, &directory)),
            }
        }
        let git = Repository::open_root(&directory)?;
        if let (Some(link), Some(origin)) = (link, git.origin())
            && !git::same_link(link, &origin)
        {
            return Err(CommandError::mistake(format!(
                "{} comes from {origin}, not from {link}",
                directory.display()
            ))
            .hint("leave out --link, or move that directory away"));
        }
        Ok(Self::Repository { directory, git })
    }

    /// The text of its pod.yaml.
    pub(crate) fn pod_yaml(&self) -> Result<String, CommandError> {
        let (name, bytes) = match self {
            Self::Repository { directory, .. } => {
                let path = directory.join("pod.yaml");
                if !path.exists() {
                    return Err(CommandError::mistake(format!(
                        "{} has no pod.yaml, so it is not a pod",
                        directory.display()
                    ))
                    .hint("the pod.yaml lies at the top of the pod's repository"));
                }
                let bytes = fs::read(&path).map_err(|error| unreadable(&path, error))?;
                (path.display().to_string(), bytes)
            }
            Self::Special(special) => (
                "pod.yaml".to_owned(),
                special.file("pod.yaml").unwrap_or_default().to_owned(),
            ),
        };
        String::from_utf8(bytes).map_err(|error| {
            CommandError::new(Kind::Diagnostics, format!("{name} is not UTF-8 text"))
                .caused_by(error)
        })
    }

    /// The name of its pod.yaml for messages: as short as it can be typed from where the user stands.
    pub(crate) fn shown(&self, cluster: &Cluster<'_>, pod: &PodName) -> String {
        match self {
            Self::Repository { directory, .. } => {
                let path = directory.join("pod.yaml");
                path.strip_prefix(&cluster.environment.current_dir)
                    .unwrap_or(&path)
                    .display()
                    .to_string()
            }
            Self::Special(_) => format!("<sns>/{pod}/pod.yaml"),
        }
    }

    /// The link that the repository comes from.
    pub(crate) fn link(&self) -> Option<String> {
        match self {
            Self::Repository { git, .. } => git.origin(),
            Self::Special(_) => None,
        }
    }

    /// The commit of a file or directory of the source.
    pub(crate) fn revision(&self, path: &str) -> Result<Revision, CommandError> {
        match self {
            Self::Repository { directory, git } => git.revision(&directory.join(path)),
            Self::Special(_) => Ok(Revision::Commit(format!(
                "sns-{}",
                env!("CARGO_PKG_VERSION")
            ))),
        }
    }

    /// The base of relative paths in its pod.yaml; a special pod has none.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Repository { directory, .. } => Some(directory),
            Self::Special(_) => None,
        }
    }

    /// The content of a file beside its pod.yaml.
    pub(crate) fn file(&self, path: &str) -> Result<Vec<u8>, CommandError> {
        match self {
            Self::Repository { directory, .. } => {
                let path = directory.join(path);
                fs::read(&path).map_err(|error| unreadable(&path, error))
            }
            Self::Special(special) => special.file(path).map(<[u8]>::to_vec).ok_or_else(|| {
                CommandError::mistake(format!("this special pod has no file {path}"))
            }),
        }
    }

    /// True when it brings configs.
    pub(crate) fn has_configs(&self) -> bool {
        match self {
            Self::Repository { directory, .. } => directory.join("config").is_dir(),
            Self::Special(special) => special.files().any(|(path, _)| path.starts_with("config/")),
        }
    }

    /// Copies its configs into the project, over what is there.
    pub(crate) fn import_configs(&self, target: &Path) -> Result<(), CommandError> {
        match self {
            Self::Repository { directory, .. } => {
                config_dirs::copy(&directory.join("config"), target)
            }
            Self::Special(special) => {
                for (path, content) in special.files() {
                    if let Some(path) = path.strip_prefix("config/") {
                        config_dirs::write(
                            target,
                            Path::new(path),
                            content,
                            content.starts_with(b"#!"),
                        )?;
                    }
                }
                Ok(())
            }
        }
    }
}

fn fetch(link: &str, directory: &Path, ui: &Ui) -> Result<(), CommandError> {
    let parent = directory.parent().unwrap_or(directory);
    fs::create_dir_all(parent).map_err(|error| {
        CommandError::files(
            format!("could not make the directory {}", parent.display()),
            error,
        )
    })?;
    ui.note(&format!("cloning {link} …"));
    git::clone(link, directory)
}

fn no_source(pod: &PodName, directory: &Path) -> CommandError {
    let beside = directory.parent().map(directories_in).unwrap_or_default();
    let special = special_pods::names();
    let known = beside
        .iter()
        .map(String::as_str)
        .chain(special.iter().copied());
    let similar = did_you_mean(pod.as_str(), known);
    CommandError::mistake(format!("there is no pod at {}", directory.display()))
        .hint_if(similar)
        .hint("let it be cloned with --link=GITURL, or name the directory of your pods in PODPATH")
}

/// The names of the directories in a directory; none when it cannot be listed.
fn directories_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn unreadable(path: &Path, error: std::io::Error) -> CommandError {
    CommandError::files(format!("could not read {}", path.display()), error)
}
