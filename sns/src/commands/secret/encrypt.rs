//! `sns secret encrypt [PODS…]`.

use clap::Args;
use names::PodName;

use super::{IdentityArgs, files_of, hint_to_bring, pods, warn_without_operators};
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::git::{Repository, Revision};
use crate::project::Cluster;
use crate::secrets::{self, Change, State};

/// Make every file of encrypted configs readable for those who need it, and for nobody else
///
/// Encrypts plain files where they lie, and encrypts anew what is encrypted to others than it should be: after
/// a pod was attached to another host or taken from one, after an operator came or went, or a host has got
/// another key. A file that is right already keeps its bytes.
#[derive(Debug, Args)]
#[command(
    visible_alias = "reencrypt",
    after_help = "\
Examples:
  sns secret encrypt
  sns host attach web@laptop2 && sns secret encrypt web && sns pod compile web@laptop2"
)]
pub(crate) struct EncryptArgs {
    /// The pods; default: all
    #[arg(value_name = "POD")]
    pods: Vec<PodName>,

    #[command(flatten)]
    identity: IdentityArgs,
}

/// Prepares all changes, then makes them.
pub(crate) fn run(context: &Context<'_>, args: &EncryptArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let key = args.identity.key(context)?;
    let mut changes = Vec::new();
    for pod in pods(&cluster, &args.pods)? {
        let files = files_of(context, &cluster, &pod)?;
        if !files.is_empty() {
            let audience = secrets::audience(&cluster, &pod)?;
            changes.extend(secrets::encrypt(files, &audience, &key)?);
        }
    }
    if changes.is_empty() {
        context
            .ui
            .note("every secret is encrypted to those who need it");
        return Ok(());
    }
    for change in &changes {
        warn_of_history(context, &cluster, change)?;
        change.apply()?;
        context.ui.done(&format!(
            "{}: {}; now it is right",
            change.file.name, change.before.state
        ));
    }
    warn_of_former_readers(context, &changes);
    warn_without_operators(context, &cluster)?;
    let mut pods: Vec<&PodName> = changes.iter().map(|change| &change.file.name.pod).collect();
    pods.dedup();
    pods.iter().for_each(|pod| hint_to_bring(context, pod));
    Ok(())
}

/// What git has in plain text it keeps.
fn warn_of_history(
    context: &Context<'_>,
    cluster: &Cluster<'_>,
    change: &Change,
) -> Result<(), CommandError> {
    if change.before.state == State::Unsealed(seal::SealedError::Plain)
        && let Revision::Commit(_) =
            Repository::open(cluster.path())?.revision(&change.file.path)?
    {
        context.ui.warning(&format!(
            "{} is in the history of git in plain text: change the secret itself",
            change.file.name
        ));
    }
    Ok(())
}

/// Who could read something may have kept it.
fn warn_of_former_readers(context: &Context<'_>, changes: &[Change]) {
    let mut former: Vec<String> = Vec::new();
    for change in changes {
        if let State::Other(_, extra) = &change.before.state {
            former.extend(extra.iter().map(ToString::to_string));
        }
    }
    former.sort();
    former.dedup();
    if !former.is_empty() {
        context.ui.warning(&format!(
            "{} could read these secrets before, and the history of git is readable for the former keys: change the secrets themselves with `sns secret set`",
            former.join(", ")
        ));
    }
}
