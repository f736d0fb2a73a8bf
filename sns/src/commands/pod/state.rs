//! `sns pod state PODS…`.

use clap::Args;
use names::PodState;
use serde_json::json;

use crate::command_error::CommandError;
use crate::commands::Context;
use crate::designation::Designation;
use crate::project::{Cluster, Selected, VersionDefault};

/// Show or set what should become of releases; commit and sync to bring it to the hosts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns pod state web
  sns pod state web:1.0.0 --state=removed
  sns pod state web@laptop db@laptop --state=stopped")]
pub(crate) struct StateArgs {
    /// The releases; the version is the latest unless named, the hosts are all unless named
    #[arg(value_name = "POD[:VERSION][@HOST]", required = true)]
    pods: Vec<Designation>,

    /// The new state: running, stopped or removed
    #[arg(short, long)]
    state: Option<PodState>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

impl StateArgs {
    /// True when a state is set, false when it is only shown.
    pub(crate) fn changes_project(&self) -> bool {
        self.state.is_some()
    }
}

/// Finds all releases first, so that a wrong name changes nothing; then sets and shows them.
pub(crate) fn run(context: &Context<'_>, args: &StateArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let mut releases = Vec::new();
    for named in &args.pods {
        releases.extend(cluster.releases(named, VersionDefault::Latest)?);
    }
    releases.sort_by_key(ToString::to_string);
    releases.dedup_by_key(|release| release.to_string());
    if let Some(state) = args.state {
        for release in &releases {
            set(&cluster, release, state)?;
        }
    }
    let mut list = Vec::new();
    for release in &releases {
        let state = release.state()?;
        list.push(json!({ "pod": release.id.pod, "version": release.id.version, "host": release.host.name, "state": state }));
        if !args.json {
            context.ui.result(&format!("{release} {state}"));
        }
    }
    if args.json {
        context.ui.json(&list.into());
    }
    Ok(())
}

/// Sets the state of a release and logs it, if it was another one.
fn set(cluster: &Cluster<'_>, release: &Selected, state: PodState) -> Result<(), CommandError> {
    if hostfiles::write(&release.dir.state(), &state)? {
        cluster.log_pod(
            &release.host,
            &release.id.pod,
            &format!("SET_POD_RELEASE_STATE {} {state}", release.id),
        )?;
    }
    Ok(())
}
