//! Cloning a pod: the one program that `sns` starts.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::command_error::CommandError;

/// Clones `link` into `directory`, which must not exist. Git asks for credentials itself.
pub(crate) fn clone(link: &str, directory: &Path) -> Result<(), CommandError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "credentials and SSH settings are the user's git's; an argument list, never a shell"
    )]
    let mut git = Command::new("git");
    git.arg("clone")
        .arg("--quiet")
        .arg("--")
        .arg(link)
        .arg(directory)
        .stdout(Stdio::null());
    let status = git.status().map_err(|error| {
        CommandError::files(format!("could not start git to clone {link}"), error)
            .hint("install git, or clone the pod by hand into PODPATH")
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(CommandError::mistake(format!(
            "git could not clone {link} to {} ({status})",
            directory.display()
        )))
    }
}
