//! What git ignores and a sync would send all the same: no commit has it, so nobody could say later what the
//! hosts were given.

use std::path::PathBuf;

use super::Cluster;
use crate::command_error::CommandError;
use crate::git::Repository;

impl Cluster<'_> {
    /// Refuses ignored files in the directories that are sent to hosts.
    pub(crate) fn check_ignored(&self) -> Result<(), CommandError> {
        let mut sent: Vec<PathBuf> = vec![
            self.files.plugins_dir(),
            self.files.programs_dir(),
            self.path().join("_config"),
        ];
        let hosts = self.host_names()?;
        sent.extend(
            hosts
                .iter()
                // Private keys beside them belong to the operator alone, and nobody sends them.
                .map(|host| self.files.host(host).pods_dir()),
        );
        let ignored = Repository::open(self.path())?.ignored(&sent)?;
        if ignored.is_empty() {
            return Ok(());
        }
        Err(
            CommandError::refused("git ignores files that would be sent to hosts")
                .listing(ignored)
                .hint("commit them all the same with `git add -f`, or remove them"),
        )
    }
}
