//! `sns pod ps POD`.

use clap::Args;
use hostfiles::Format as _;
use serde_json::json;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::designation::Designation;
use crate::project::{Selected, VersionDefault};
use crate::status::{self, Standing};

/// Show what has become of a pod, host by host
///
/// Asks all hosts of the pod at the same time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod ps web
  sns pod ps web --readiness
  until sns pod ps web -r -q; do sleep 1; done")]
pub(crate) struct PsArgs {
    /// The pod; the version is the latest unless named, the hosts are all unless named
    #[arg(value_name = "POD[:VERSION][@HOST]")]
    pod: Designation,

    /// Only how many replicas are ready, as READY/TOTAL
    #[arg(short, long)]
    readiness: bool,

    /// With -r: print nothing; exit 0 when at least one replica is ready, else 1
    #[arg(short, long, visible_alias = "quite", requires = "readiness")]
    quiet: bool,

    /// As JSON
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

/// Shows it.
pub(crate) fn run(context: &Context<'_>, args: &PsArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let releases = cluster.releases(&args.pod, VersionDefault::Latest)?;
    let answers = status::ask(context, &cluster, &releases)?;
    if !args.quiet {
        answers
            .notes
            .iter()
            .for_each(|note| context.ui.warning(note));
    }
    let replicas: Vec<(Selected, Standing)> = releases.into_iter().zip(answers.standings).collect();
    let (ready, total) = (
        replicas
            .iter()
            .filter(|(_, standing)| standing.is_ready())
            .count(),
        replicas.len(),
    );
    if args.quiet {
        return if ready > 0 {
            Ok(())
        } else {
            Err(CommandError::no())
        };
    }
    match (args.readiness, args.json) {
        (true, true) => context.ui.json(&json!({ "ready": ready, "total": total })),
        (true, false) => context.ui.result(&format!("{ready}/{total}")),
        (false, true) => context.ui.json(&replicas.iter().map(as_json).collect()),
        (false, false) => replicas
            .iter()
            .for_each(|replica| context.ui.result(&text(replica))),
    }
    Ok(())
}

fn text((release, standing): &(Selected, Standing)) -> String {
    let head = format!("host: {}\n", release.host.name);
    match standing.known() {
        Some(status) => (head + &status.to_text()).trim_end().to_owned(),
        None => {
            let message = standing.message();
            let message = if message.is_empty() {
                String::new()
            } else {
                format!("\nmessage: {message}")
            };
            format!(
                "{head}pod: {}-{}\nstatus: {}{message}",
                release.id.pod,
                release.id.version,
                standing.word()
            )
        }
    }
}

fn as_json((release, standing): &(Selected, Standing)) -> serde_json::Value {
    let mut value =
        json!({ "host": release.host.name, "pod": release.id.pod, "version": release.id.version });
    if let (Some(value), serde_json::Value::Object(status)) =
        (value.as_object_mut(), standing.json())
    {
        value.extend(status);
    }
    value
}
