//! The git repositories of the project and of the pods: history, cleanliness, first commit, links.
//!
//! Reading and committing is done in this process. Only cloning starts the `git` program, because the
//! user's credentials, proxies and SSH settings belong to it. Nothing here knows hosts or releases.

mod clone;
mod create;
mod link;

use std::path::{Path, PathBuf};

use git2::{ErrorCode, Sort, Status, StatusOptions};

use crate::command_error::CommandError;

pub(crate) use clone::clone;
pub(crate) use create::{Author, create};
pub(crate) use link::same_link;

/// A working tree under git.
pub(crate) struct Repository {
    inner: git2::Repository,
    /// The directory that is looked at, which may lie below the root of the working tree.
    directory: PathBuf,
}

/// Which commit a file or directory is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revision {
    /// As in this commit.
    Commit(String),
    /// Changed since the last commit, or never committed, also because git ignores it.
    Changed,
    /// There is no such file.
    Missing,
}

impl Repository {
    /// Opens the repository that `directory` belongs to.
    pub(crate) fn open(directory: &Path) -> Result<Self, CommandError> {
        let inner = git2::Repository::discover(directory)
            .map_err(|error| not_a_repository(directory, &error))?;
        Self::at(inner, directory)
    }

    /// The directory that git keeps its own files in.
    pub(crate) fn git_dir(&self) -> &Path {
        self.inner.path()
    }

    /// Opens the repository whose working tree `directory` is. One that merely contains it says nothing about
    /// it: it may even ignore it.
    pub(crate) fn open_root(directory: &Path) -> Result<Self, CommandError> {
        let inner = git2::Repository::open(directory)
            .map_err(|error| not_a_repository(directory, &error))?;
        Self::at(inner, directory)
    }

    fn at(inner: git2::Repository, directory: &Path) -> Result<Self, CommandError> {
        let directory = directory.canonicalize().map_err(|error| {
            CommandError::files(
                format!("could not find the directory {}", directory.display()),
                error,
            )
        })?;
        Ok(Self { inner, directory })
    }

    /// True when older commits were left out when it was cloned.
    pub(crate) fn is_shallow(&self) -> bool {
        self.inner.is_shallow()
    }

    /// Where the link `origin` leads, if there is one.
    pub(crate) fn origin(&self) -> Option<String> {
        let remote = self.inner.find_remote("origin").ok()?;
        remote.url().ok().map(str::to_owned)
    }

    /// The last commit.
    pub(crate) fn head(&self) -> Result<Option<String>, CommandError> {
        match self.inner.head() {
            Ok(head) => Ok(Some(head.peel_to_commit()?.id().to_string())),
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Every commit that HEAD contains, parents before children, HEAD last; the newest `max` of them.
    /// Other branches and stashes do not count: they say nothing about what was synced.
    pub(crate) fn history(&self, max: usize) -> Result<Vec<String>, CommandError> {
        if self.head()?.is_none() {
            return Ok(Vec::new());
        }
        let mut walk = self.inner.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
        walk.push_head()?;
        let newest: Result<Vec<git2::Oid>, git2::Error> = walk.take(max).collect();
        Ok(newest?.iter().rev().map(ToString::to_string).collect())
    }

    /// What differs from the last commit: `?? web/`, `M  host.env`, in the order of the paths, with paths
    /// relative to the directory that was opened.
    pub(crate) fn changes(&self) -> Result<Vec<String>, CommandError> {
        let mut options = StatusOptions::new();
        options
            .include_untracked(true)
            .exclude_submodules(false)
            .disable_pathspec_match(true);
        let below = self.below_root(&self.directory);
        if !below.as_os_str().is_empty() {
            options.pathspec(below.clone());
        }
        let statuses = self.inner.statuses(Some(&mut options))?;
        let lines = statuses.iter().map(|entry| {
            let path = String::from_utf8_lossy(entry.path_bytes()).into_owned();
            let path = Path::new(&path)
                .strip_prefix(&below)
                .map_or_else(|_| path.clone(), |rest| rest.display().to_string());
            format!("{} {path}", status_letters(entry.status()))
        });
        Ok(lines.collect())
    }

    /// What git ignores in these directories, in the order of the paths, relative to the directory that was
    /// opened. An ignored directory is named once, without what is in it.
    pub(crate) fn ignored(&self, directories: &[PathBuf]) -> Result<Vec<String>, CommandError> {
        let below = self.below_root(&self.directory);
        let mut options = StatusOptions::new();
        options
            .include_ignored(true)
            // Ignored files may lie in a directory that has no others.
            .include_untracked(true)
            .recurse_untracked_dirs(true)
            .disable_pathspec_match(true);
        let inside: Vec<PathBuf> = directories
            .iter()
            .filter_map(|directory| directory.canonicalize().ok())
            .map(|directory| self.below_root(&directory))
            .filter(|directory| !directory.as_os_str().is_empty())
            .collect();
        if inside.is_empty() {
            return Ok(Vec::new());
        }
        for directory in &inside {
            options.pathspec(directory.as_path());
        }
        let statuses = self.inner.statuses(Some(&mut options))?;
        let ignored = statuses.iter().filter(|entry| entry.status().is_ignored());
        let paths = ignored.map(|entry| {
            let path = String::from_utf8_lossy(entry.path_bytes()).into_owned();
            path.strip_prefix(&format!("{}/", below.display()))
                .map_or_else(|| path.clone(), str::to_owned)
        });
        Ok(paths.collect())
    }

    /// Which commit a file or directory below the opened directory is at.
    pub(crate) fn revision(&self, path: &Path) -> Result<Revision, CommandError> {
        if !path.exists() {
            return Ok(Revision::Missing);
        }
        let Some(head) = self.head()? else {
            return Ok(Revision::Changed);
        };
        let path = path.canonicalize().map_err(|error| {
            CommandError::files(format!("could not find {}", path.display()), error)
        })?;
        let mut options = StatusOptions::new();
        options
            .include_untracked(true)
            .recurse_untracked_dirs(true)
            .include_ignored(true)
            .recurse_ignored_dirs(true)
            .disable_pathspec_match(true);
        options.pathspec(self.below_root(&path));
        let clean = self.inner.statuses(Some(&mut options))?.is_empty();
        Ok(if clean {
            Revision::Commit(head)
        } else {
            Revision::Changed
        })
    }

    /// A path as git names it, relative to the root of the working tree.
    fn below_root(&self, path: &Path) -> PathBuf {
        let root = self
            .inner
            .workdir()
            .and_then(|root| root.canonicalize().ok());
        root.and_then(|root| path.strip_prefix(root).ok().map(Path::to_owned))
            .unwrap_or_default()
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Commit(commit) => f.write_str(commit),
            Self::Changed => f.write_str("<unknown>"),
            Self::Missing => f.write_str("<none>"),
        }
    }
}

fn not_a_repository(directory: &Path, error: &git2::Error) -> CommandError {
    let owned_by_another = error.code() == ErrorCode::Owner;
    let refused = CommandError::mistake(format!(
        "{} is not a git repository that can be used",
        directory.display()
    ))
    .caused_by(error.message().to_owned());
    if owned_by_another {
        refused.hint(format!(
            "it belongs to another user; if you trust it: git config --global --add safe.directory {}",
            directory.display()
        ))
    } else {
        refused.hint("a project and its pods are git repositories: run `git init` and commit")
    }
}

/// The two letters of `git status --short`.
fn status_letters(status: Status) -> String {
    let in_index = match status {
        _ if status.is_conflicted() => 'U',
        _ if status.is_index_new() => 'A',
        _ if status.is_index_modified() => 'M',
        _ if status.is_index_deleted() => 'D',
        _ if status.is_index_renamed() => 'R',
        _ if status.is_index_typechange() => 'T',
        _ if status.is_wt_new() => '?',
        _ => ' ',
    };
    let in_tree = match status {
        _ if status.is_conflicted() => 'U',
        _ if status.is_wt_new() => '?',
        _ if status.is_wt_modified() => 'M',
        _ if status.is_wt_deleted() => 'D',
        _ if status.is_wt_renamed() => 'R',
        _ if status.is_wt_typechange() => 'T',
        _ => ' ',
    };
    format!("{in_index}{in_tree}")
}
