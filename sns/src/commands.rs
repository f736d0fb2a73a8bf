//! The verbs: a folder per noun, a file per verb. Each file holds the verb's arguments, whose doc comments
//! are its help, and one function that reads as a list of steps.

pub(crate) mod cluster;
mod completions;
mod host;
pub(crate) mod plugin;
pub(crate) mod pod;
mod secret;
mod translate;

use std::path::Path;

use clap::Subcommand;

use crate::command_error::CommandError;
use crate::environment::Environment;
use crate::project::{Cluster, ProjectLock};
use crate::remote::Remotes;
use crate::ui::Ui;

/// What every verb works with.
pub(crate) struct Context<'a> {
    /// The terminal.
    pub(crate) ui: &'a Ui,
    /// What was read from the process.
    pub(crate) environment: &'a Environment,
    /// The project that `--project` names.
    pub(crate) project: Option<&'a Path>,
}

/// The nouns, and verbs without one.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole cluster: create it, sync it, look at it
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// The hosts of the cluster, and which pods belong on them
    #[command(subcommand)]
    Host(host::HostCommand),
    /// Pods: compile them, set their state, look at them
    #[command(subcommand)]
    Pod(pod::PodCommand),
    /// The encrypted configs of pods, and who can read them
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// The runtime plugins of each host
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    Completions(completions::CompletionsArgs),
    Translate(translate::TranslateArgs),
}

/// Runs one command.
pub(crate) fn run(context: &Context<'_>, command: &Command) -> Result<(), CommandError> {
    match command {
        Command::Cluster(command) => cluster::run(context, command),
        Command::Host(command) => host::run(context, command),
        Command::Pod(command) => pod::run(context, command),
        Command::Secret(command) => secret::run(context, command),
        Command::Plugin(command) => plugin::run(context, command),
        Command::Completions(args) => completions::run(context, args),
        Command::Translate(args) => translate::run(args),
    }
}

impl<'a> Context<'a> {
    /// Opens the Cluster Project.
    pub(crate) fn open(&self) -> Result<Cluster<'a>, CommandError> {
        Cluster::open(self.environment, self.project)
    }

    /// Says what was noticed while hosts were connected.
    pub(crate) fn tell_warnings(&self, remotes: &Remotes) {
        let warnings = remotes.take_warnings();
        warnings.iter().for_each(|text| self.ui.warning(text));
    }

    /// Makes sure that nobody else changes the project meanwhile; nothing for a verb that only looks.
    pub(crate) fn lock_if(&self, changes: bool) -> Result<Option<ProjectLock>, CommandError> {
        changes.then(|| self.open()?.lock(self.ui)).transpose()
    }
}
