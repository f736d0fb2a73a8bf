//! `sns secret …`.

mod check;
mod edit;
mod encrypt;
mod keygen;
mod ls;
mod operator;
mod set;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use names::PodName;

use super::Context;
use crate::command_error::CommandError;
use crate::project::Cluster;
use crate::secrets::{self, EncryptedFile, OperatorKey, SecretPath};

/// The verbs of secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    Keygen(keygen::KeygenArgs),
    /// Who may change the secrets of the cluster
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    Set(set::SetArgs),
    Show(show::ShowArgs),
    Edit(edit::EditArgs),
    Ls(ls::LsArgs),
    Encrypt(encrypt::EncryptArgs),
    Check(check::CheckArgs),
}

/// The key of the operator.
#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    /// Your private age key; default: SNS_AGE_KEY_FILE, or ~/.config/simplenetes/age-key.txt
    #[arg(short, long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl IdentityArgs {
    fn key(&self, context: &Context<'_>) -> Result<OperatorKey, CommandError> {
        OperatorKey::at(context.environment, self.identity.as_deref())
    }
}

/// Runs one of them.
pub(crate) fn run(context: &Context<'_>, command: &SecretCommand) -> Result<(), CommandError> {
    let _lock = context.lock_if(changes_project(command))?;
    match command {
        SecretCommand::Keygen(args) => keygen::run(context, args),
        SecretCommand::Operator(command) => operator::run(context, command),
        SecretCommand::Set(args) => set::run(context, args),
        SecretCommand::Show(args) => show::run(context, args),
        SecretCommand::Edit(args) => edit::run(context, args),
        SecretCommand::Ls(args) => ls::run(context, args),
        SecretCommand::Encrypt(args) => encrypt::run(context, args),
        SecretCommand::Check(args) => check::run(context, args),
    }
}

fn changes_project(command: &SecretCommand) -> bool {
    match command {
        SecretCommand::Operator(command) => command.changes_project(),
        SecretCommand::Set(_) | SecretCommand::Encrypt(_) => true,
        // An editor may stay open for long: the lock is taken when it has ended.
        SecretCommand::Edit(_)
        | SecretCommand::Keygen(_)
        | SecretCommand::Show(_)
        | SecretCommand::Ls(_)
        | SecretCommand::Check(_) => false,
    }
}

/// The named pods, or all that are attached.
fn pods(cluster: &Cluster<'_>, named: &[PodName]) -> Result<Vec<PodName>, CommandError> {
    if named.is_empty() {
        return cluster.attached_pods();
    }
    for pod in named {
        cluster.hosts_of(pod, None)?;
    }
    Ok(named.to_vec())
}

/// All encrypted files of a pod.
fn files_of(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    pod: &PodName,
) -> Result<Vec<EncryptedFile>, CommandError> {
    let configs = secrets::declared(cluster, pod, context.ui)?;
    secrets::files(cluster, pod, &configs)
}

/// Refuses a config that is not encrypted: what is put there in plain text would stay so.
fn check_declared(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    name: &SecretPath,
) -> Result<(), CommandError> {
    cluster.hosts_of(&name.pod, None)?;
    let configs = secrets::declared(cluster, &name.pod, context.ui)?;
    if configs.contains(&name.config) {
        return Ok(());
    }
    let known: Vec<String> = configs.iter().map(ToString::to_string).collect();
    let error = CommandError::mistake(format!(
        "pod {} has no encrypted config `{}`",
        name.pod, name.config
    ));
    Err(match known.is_empty() {
        true => error,
        false => error.hint(format!("its encrypted configs are: {}", known.join(", "))),
    }
    .hint(format!(
        "in its pod.yaml that is a volume: {{name: {}, type: config, encrypted: true}}",
        name.config
    )))
}

/// The one file of that name.
fn the_file(cluster: &Cluster<'_>, name: &SecretPath) -> Result<EncryptedFile, CommandError> {
    let configs = std::collections::BTreeSet::from([name.config.clone()]);
    let files = secrets::files(cluster, &name.pod, &configs)?;
    let known: Vec<String> = files.iter().map(|file| file.name.to_string()).collect();
    let found = files.into_iter().find(|file| file.name == *name);
    found.ok_or_else(|| {
        let wanted = name.to_string();
        let similar = crate::suggest::did_you_mean(&wanted, known.iter().map(String::as_str));
        CommandError::mistake(format!("there is no secret {name}"))
            .hint_if(similar)
            .hint("`sns secret ls` lists them, `sns secret set` makes one")
    })
}

/// What follows after files were changed.
fn hint_to_bring(context: &Context<'_>, pod: &PodName) {
    context.ui.hint(&format!(
        "bring it to the hosts: sns pod compile {pod}, or sns pod updateconfig {pod} for releases that exist; then commit and sync"
    ));
}

/// Without an operator nobody could ever encrypt anything anew.
fn warn_without_operators(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
) -> Result<(), CommandError> {
    if secrets::Operators::read(cluster)?.readers().is_empty() {
        context.ui.warning("the cluster has no operators: nobody but the hosts can open its secrets, so none can be encrypted for another host later");
        context
            .ui
            .hint("make a key with `sns secret keygen`, then: sns secret operator add NAME");
    }
    Ok(())
}
