//! `sns`, the operator's command for a Cluster Project.
//!
//! Reads the command line and the environment once, runs one command, and turns what went wrong into
//! one message and one exit code. What a verb does stands in `commands/`, one file per verb.

mod cli;
mod clock;
mod command_error;
mod commands;
mod compile;
mod config_dirs;
mod designation;
mod diagnostics;
mod directories;
mod environment;
mod git;
mod host_keys;
mod logs;
mod plugins;
mod pod_api;
mod pod_sources;
mod ports;
mod project;
mod registry;
mod remote;
mod secrets;
mod setup;
mod special_pods;
mod status;
mod suggest;
mod syncing;
mod table;
mod ui;
mod variables;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::command_error::CommandError;
use crate::commands::Context;
use crate::environment::Environment;
use crate::ui::Ui;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new();
    let result = run(&cli, &ui);
    if let Err(error) = &result {
        ui.failure(error);
    }
    let result = result.and_then(|()| ui.finish());
    ExitCode::from(result.err().map_or(0, |error| error.kind().exit_code()))
}

fn run(cli: &Cli, ui: &Ui) -> Result<(), CommandError> {
    let environment = Environment::read()?;
    let context = Context {
        ui,
        environment: &environment,
        project: cli.project.as_deref(),
    };
    commands::run(&context, &cli.command)
}
