//! A new repository with its first commit.

use std::path::Path;

use git2::{IndexAddOption, RepositoryInitOptions, Signature};

use crate::command_error::CommandError;
use crate::environment::{Environment, GitName};

/// Whose name the first commit carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// The one that git is configured with.
    Configured,
    /// Git is not configured; the name of the account was taken.
    Account,
}

/// Makes `directory` a repository and commits everything in it.
pub(crate) fn create(
    directory: &Path,
    environment: &Environment,
    message: &str,
) -> Result<Author, CommandError> {
    let failed = |error: git2::Error| {
        CommandError::files(
            format!("could not make {} a git repository", directory.display()),
            error.message().to_owned(),
        )
    };
    commit_all(directory, environment, message).map_err(failed)
}

fn commit_all(
    directory: &Path,
    environment: &Environment,
    message: &str,
) -> Result<Author, git2::Error> {
    let repository = git2::Repository::init_opts(
        directory,
        RepositoryInitOptions::new()
            .no_reinit(true)
            .external_template(true),
    )?;
    let names = &environment.git_names;
    let (author, whose) = signature(&repository, &names.author, &environment.user)?;
    let (committer, _) = signature(&repository, &names.committer, &environment.user)?;
    let mut index = repository.index()?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    repository.commit(Some("HEAD"), &author, &committer, message, &tree, &[])?;
    Ok(whose)
}

/// What git's variables say, then what git is configured with, then the account.
fn signature(
    repository: &git2::Repository,
    variables: &GitName,
    user: &str,
) -> Result<(Signature<'static>, Author), git2::Error> {
    let config = repository.config()?.snapshot()?;
    let configured = |key: &str| config.get_string(key).ok().filter(|text| !text.is_empty());
    let name = variables.name.clone().or_else(|| configured("user.name"));
    let email = variables.email.clone().or_else(|| configured("user.email"));
    let whose = match (&name, &email) {
        (Some(_), Some(_)) => Author::Configured,
        _ => Author::Account,
    };
    let name = name.unwrap_or_else(|| user.to_owned());
    let email = email.unwrap_or_else(|| format!("{user}@localhost"));
    Ok((Signature::now(&name, &email)?, whose))
}
