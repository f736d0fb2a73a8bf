//! `sns secret ls [PODS…]`.

use clap::Args;
use names::PodName;
use seal::Reader;
use serde_json::{Value, json};

use super::{files_of, pods};
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::secrets::{self, Finding, State};
use crate::table;

/// List the secrets, and who can read them
///
/// A state is `ok`, `outdated` (encrypted to others than it should be), `unknown` (another program encrypted
/// it), `plain` or `damaged`. No key is needed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns secret ls
  sns secret ls web --json")]
pub(crate) struct LsArgs {
    /// The pods; default: all
    #[arg(value_name = "POD")]
    pods: Vec<PodName>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(crate) fn run(context: &Context<'_>, args: &LsArgs) -> Result<(), CommandError> {
    let found = findings(context, &args.pods)?;
    if args.json {
        context.ui.json(&found.iter().map(as_json).collect());
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|finding| {
            let readers: Vec<String> = finding.readers.iter().map(ToString::to_string).collect();
            vec![
                finding.name.to_string(),
                finding.state.word().to_owned(),
                readers.join(", "),
            ]
        })
        .collect();
    let lines = table::lines(&["SECRET", "STATE", "READERS"], &rows);
    lines.iter().for_each(|line| context.ui.result(line));
    Ok(())
}

/// What is true of every secret of these pods.
pub(super) fn findings(
    context: &Context<'_>,
    named: &[PodName],
) -> Result<Vec<Finding>, CommandError> {
    let cluster = context.open()?;
    let mut found = Vec::new();
    for pod in pods(&cluster, named)? {
        let files = files_of(context, &cluster, &pod)?;
        if files.is_empty() {
            continue;
        }
        let audience = secrets::audience(&cluster, &pod)?;
        found.extend(files.iter().map(|file| secrets::check(file, &audience)));
    }
    Ok(found)
}

fn as_json(finding: &Finding) -> Value {
    let list = |readers: &mut dyn Iterator<Item = &Reader>| -> Value {
        readers
            .map(|reader| {
                json!({
                    "role": reader.role().as_str(),
                    "name": reader.name(),
                    "recipient": reader.recipient().as_str(),
                })
            })
            .collect()
    };
    let (missing, extra) = match &finding.state {
        State::Other(missing, extra) => (missing.as_slice(), extra.as_slice()),
        _ => Default::default(),
    };
    json!({
        "pod": finding.name.pod,
        "config": finding.name.config,
        "file": finding.name.file,
        "state": finding.state.word(),
        "readers": list(&mut finding.readers.iter()),
        "missing": list(&mut missing.iter()),
        "extra": list(&mut extra.iter()),
    })
}
