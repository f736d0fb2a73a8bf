//! A new repository with its first commit.

use std::path::Path;

use git2::{IndexAddOption, RepositoryInitOptions, Signature};

use crate::command_error::CommandError;

/// Whose name the first commit carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// The one that git is configured with.
    Configured,
    /// Git is not configured; the name of the account was taken.
    Account,
}

/// Makes `directory` a repository and commits everything in it.
pub(crate) fn create(directory: &Path, user: &str, message: &str) -> Result<Author, CommandError> {
    let failed = |error: git2::Error| {
        CommandError::files(
            format!("could not make {} a git repository", directory.display()),
            error.message().to_owned(),
        )
    };
    commit_all(directory, user, message).map_err(failed)
}

fn commit_all(directory: &Path, user: &str, message: &str) -> Result<Author, git2::Error> {
    let repository = git2::Repository::init_opts(
        directory,
        RepositoryInitOptions::new()
            .no_reinit(true)
            .external_template(true),
    )?;
    let (signature, author) = match repository.signature() {
        Ok(signature) => (signature, Author::Configured),
        Err(_) => (
            Signature::now(user, &format!("{user}@localhost"))?,
            Author::Account,
        ),
    };
    let mut index = repository.index()?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    repository.commit(Some("HEAD"), &signature, &signature, message, &tree, &[])?;
    Ok(author)
}
