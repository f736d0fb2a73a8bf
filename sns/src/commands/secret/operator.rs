//! `sns secret operator …`.

use clap::{Args, Subcommand};
use seal::{Reader, Recipient, Role};
use serde_json::json;

use super::IdentityArgs;
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::secrets::Operators;
use crate::suggest::did_you_mean;
use crate::table;

/// The verbs of operators.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    Add(AddArgs),
    Rm(RmArgs),
    Ls(LsArgs),
}

/// Let somebody read and change the secrets of the cluster
///
/// Writes the public key into operators.txt. What is encrypted already he can read when somebody who can
/// open it has encrypted it anew: `sns secret encrypt`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns secret operator add anna
  sns secret operator add bob age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  sns secret encrypt")]
pub(crate) struct AddArgs {
    /// The name, for people
    name: String,

    /// The public key; default: that of your own key
    recipient: Option<Recipient>,

    #[command(flatten)]
    identity: IdentityArgs,
}

/// Take somebody's key out of the operators
///
/// What is encrypted to it stays readable for it until it is encrypted anew (`sns secret encrypt`), and what
/// it could read once it may have kept: change the secrets themselves.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sns secret operator rm bob && sns secret encrypt")]
pub(crate) struct RmArgs {
    /// The name
    name: String,
}

/// List the operators and their public keys
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns secret operator ls
  sns secret operator ls --json")]
pub(crate) struct LsArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl OperatorCommand {
    /// True when the project changes.
    pub(super) fn changes_project(&self) -> bool {
        !matches!(self, Self::Ls(_))
    }
}

/// Runs one of them.
pub(crate) fn run(context: &Context<'_>, command: &OperatorCommand) -> Result<(), CommandError> {
    match command {
        OperatorCommand::Add(args) => add(context, args),
        OperatorCommand::Rm(args) => remove(context, args),
        OperatorCommand::Ls(args) => list(context, args),
    }
}

fn add(context: &Context<'_>, args: &AddArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let mut operators = Operators::read(&cluster)?;
    let recipient = match &args.recipient {
        Some(recipient) => recipient.clone(),
        None => args.identity.key(context)?.read()?.recipient(),
    };
    let reader = Reader::new(Role::Operator, &args.name, recipient)
        .map_err(|error| CommandError::mistake(error.to_string()))?;
    if !operators.add(&reader)? {
        context.ui.note(&format!("{reader} is there already"));
        return Ok(());
    }
    operators.write(&cluster)?;
    context.ui.done(&format!(
        "{reader} is in {}",
        cluster.shown(&cluster.files.operators())
    ));
    context
        .ui
        .hint("encrypt what is there to this key as well: sns secret encrypt");
    Ok(())
}

fn remove(context: &Context<'_>, args: &RmArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let mut operators = Operators::read(&cluster)?;
    let Some(reader) = operators.named(&args.name).cloned() else {
        let known = operators.readers().iter().map(Reader::name);
        return Err(
            CommandError::mistake(format!("there is no operator `{}`", args.name))
                .hint_if(did_you_mean(&args.name, known))
                .hint("`sns secret operator ls` lists them"),
        );
    };
    operators.remove(&reader);
    operators.write(&cluster)?;
    context
        .ui
        .done(&format!("{reader} is no operator any more"));
    context
        .ui
        .hint("lock this key out of what is there: sns secret encrypt");
    Ok(())
}

fn list(context: &Context<'_>, args: &LsArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let operators = Operators::read(&cluster)?;
    let readers = operators.readers();
    if args.json {
        let list = readers
            .iter()
            .map(|reader| json!({"name": reader.name(), "recipient": reader.recipient().as_str()}));
        context.ui.json(&list.collect());
        return Ok(());
    }
    let rows: Vec<Vec<String>> = readers
        .iter()
        .map(|reader| vec![reader.name().to_owned(), reader.recipient().to_string()])
        .collect();
    let lines = table::lines(&["OPERATOR", "KEY"], &rows);
    lines.iter().for_each(|line| context.ui.result(line));
    Ok(())
}
