//! `sns cluster create NAME`.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use clap::Args;
use hostfiles::{ClusterId, Format as _, Project};
use names::HostName;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::directories::Staged;
use crate::git::{self, Author};
use crate::project::journal_line;

/// Make a Cluster Project: a directory with a git repository
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns cluster create laptop-cluster
  sns cluster create /srv/clusters/production")]
pub(crate) struct CreateArgs {
    /// Name of the cluster, or a path that ends in it
    name: std::path::PathBuf,
}

/// What git ignores: the pods have repositories of their own. Sync logs ignore themselves.
const GIT_IGNORE: &str = "_pods\n";

/// Two people add lines to the same log; git keeps the lines of both.
const GIT_ATTRIBUTES: &str = "log.txt merge=union\n";

/// Makes the project beside its place and lets it appear when it is whole.
pub(crate) fn run(context: &Context<'_>, args: &CreateArgs) -> Result<(), CommandError> {
    let place = context.environment.current_dir.join(&args.name);
    let id = new_id(&place)?;
    check_place(&place)?;
    let staged = Staged::begin(place.clone())?;
    write_files(context, staged.path(), &id)?;
    let author = git::create(staged.path(), context.environment, "Initial")?;
    staged.publish()?;
    if author == Author::Account {
        context.ui.warning(
            "git does not know your name, so the first commit carries the name of your account",
        );
        context
            .ui
            .hint("git config --global user.name NAME; git config --global user.email ADDRESS");
    }
    context
        .ui
        .done(&format!("cluster {id} created at {}", place.display()));
    context.ui.hint(&format!(
        "cd {}; then add a host: sns host register",
        args.name.display()
    ));
    Ok(())
}

/// `NAME-RANDOM`: two clusters of one name are still told apart.
fn new_id(place: &Path) -> Result<ClusterId, CommandError> {
    let name = place
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // The rule of host names fits: letters, digits, `-` and `_`.
    name.parse::<HostName>().map_err(|_| {
        CommandError::mistake(format!("`{name}` cannot be the name of a cluster"))
            .hint("use letters, digits, `-` and `_`, beginning with a letter or digit, as in laptop-cluster")
    })?;
    // Every hasher of the standard library starts from fresh randomness of the system.
    let random = RandomState::new().hash_one(&name) % 65535 + 1;
    format!("{name}-{random}")
        .parse()
        .map_err(|error: hostfiles::FormatError| CommandError::mistake(error.to_string()))
}

fn check_place(place: &Path) -> Result<(), CommandError> {
    if place.exists() {
        return Err(
            CommandError::mistake(format!("{} exists already", place.display()))
                .hint("choose another name, or move it away"),
        );
    }
    let above = place.parent().and_then(|parent| Project::find(parent).ok());
    match above {
        Some(project) => Err(CommandError::mistake(format!(
            "{} would lie inside another Cluster Project",
            place.display()
        ))
        .hint(format!("leave {} first", project.path().display()))),
        None => Ok(()),
    }
}

fn write_files(
    context: &Context<'_>,
    directory: &Path,
    id: &ClusterId,
) -> Result<(), CommandError> {
    let project = Project::new(directory);
    let write = |path: &Path, text: &str| hostfiles::replace(path, text.as_bytes(), 0o644);
    write(&project.cluster_id(), &id.to_text())?;
    write(&project.vars(), "")?;
    write(&directory.join(".gitignore"), GIT_IGNORE)?;
    write(&directory.join(".gitattributes"), GIT_ATTRIBUTES)?;
    write(
        &project.log(),
        &journal_line(
            context.environment,
            &format!("CREATED-CLUSTER-PROJECT {id}"),
        ),
    )?;
    fs::create_dir_all(project.pods_clones()).map_err(|error| {
        CommandError::files(
            format!(
                "could not make the directory {}",
                project.pods_clones().display()
            ),
            error,
        )
    })
}
