//! `sns cluster ps`.

use clap::Args;
use names::PodState;
use serde_json::json;

use crate::command_error::CommandError;
use crate::commands::{Context, pod};
use crate::project::Selected;
use crate::status::{self, Standing};
use crate::table;

/// Show all pods of all hosts: what is wanted and what is so
///
/// Asks all hosts at the same time. Releases that are removed and gone are left out. What on a host is not as its last
/// sync left it is told, and so is a host that went back by itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns cluster ps
  sns cluster ps --json")]
pub(crate) struct PsArgs {
    /// Releases that are removed and gone, too
    #[arg(short, long)]
    all: bool,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// One line of the table.
struct Row {
    release: Selected,
    wanted: PodState,
    standing: Standing,
}

/// Shows them.
pub(crate) fn run(context: &Context<'_>, args: &PsArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let mut rows = Vec::new();
    let releases = pod::ls::all(&cluster)?;
    let answers = status::ask(context, &cluster, &releases)?;
    for (release, standing) in releases.into_iter().zip(answers.standings) {
        let row = Row {
            wanted: release.state()?,
            standing,
            release,
        };
        if args.all || !row.is_gone() {
            rows.push(row);
        }
    }
    answers
        .notes
        .iter()
        .for_each(|note| context.ui.warning(note));
    if args.json {
        context.ui.json(&rows.iter().map(Row::json).collect());
        return Ok(());
    }
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    let heading = [
        "HOST", "POD", "VERSION", "WANTED", "STATUS", "READY", "RESTARTS", "MESSAGE",
    ];
    table::lines(&heading, &cells)
        .iter()
        .for_each(|line| context.ui.result(line));
    Ok(())
}

impl Row {
    fn is_gone(&self) -> bool {
        self.wanted == PodState::Removed
            && matches!(self.standing.word(), "removed" | "non-existing")
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.release.host.name.to_string(),
            self.release.id.pod.to_string(),
            self.release.id.version.to_string(),
            self.wanted.to_string(),
            self.standing.word().to_owned(),
            if self.standing.is_ready() {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
            self.standing.restarts().to_string(),
            self.standing.message().to_owned(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let mut value = json!({
            "host": self.release.host.name,
            "pod": self.release.id.pod,
            "version": self.release.id.version,
            "wanted": self.wanted,
        });
        if let (Some(value), serde_json::Value::Object(status)) =
            (value.as_object_mut(), self.standing.json())
        {
            value.extend(status);
        }
        value
    }
}
