//! `sns host state HOST`.

use clap::Args;
use hostfiles::HostState;
use names::HostName;
use serde_json::json;

use crate::command_error::CommandError;
use crate::commands::Context;

/// Show or set whether a host takes part
///
/// active: it is synced and the others route to it. inactive: it is synced and its pods run on, but
/// no other host routes to it. disabled: it is left alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sns host state laptop
  sns host state laptop --state=inactive")]
pub(crate) struct StateArgs {
    /// The host
    host: HostName,

    /// The new state: active, inactive or disabled
    #[arg(short, long, value_parser = host_state)]
    state: Option<HostState>,

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

/// Shows or sets it.
pub(crate) fn run(context: &Context<'_>, args: &StateArgs) -> Result<(), CommandError> {
    let cluster = context.open()?;
    let host = cluster.host(&args.host)?;
    if let Some(state) = args.state
        && hostfiles::write(&host.dir.host_state(), &state)?
    {
        cluster.log(&format!("SET_HOST_STATE {} {state}", host.name))?;
    }
    let state = args.state.unwrap_or(host.state);
    if args.json {
        context
            .ui
            .json(&json!({ "host": host.name, "state": state.as_str() }));
    } else if args.state.is_some() {
        context.ui.done(&format!(
            "host {} is {state} from the next sync on",
            host.name
        ));
    } else {
        context.ui.result(state.as_str());
    }
    Ok(())
}

/// Reads the state of a host from the command line.
pub(crate) fn host_state(text: &str) -> Result<HostState, String> {
    text.parse()
        .map_err(|_| "expected active, inactive or disabled".to_owned())
}
