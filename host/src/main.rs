//! `simplenetesd`: parses the command line, runs what it names and turns the outcome into an exit status.

mod cli;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{CommandFactory, Parser};
use cli::{Cli, Command, machine};
use simplenetesd::log::{Level, Log};
use simplenetesd::{gate, shim, step, system, systemd};

const FAILURE: u8 = 1;
const WRONG_COMMAND_LINE: u8 = 2;

fn main() -> ExitCode {
    let level = std::env::var("SNS_LOG_LEVEL").ok();
    let log = Log::new(Level::parse(level.as_deref()));
    if let Some(unknown) = level.filter(|name| !Level::is_known(name)) {
        log.warn(format_args!(
            "SNS_LOG_LEVEL: there is no level `{unknown}`: expected {}",
            Level::NAMES
        ));
    }
    let outcome = match Cli::parse() {
        Cli {
            command: Some(Command::Shim { .. }),
            ..
        } => shim::run().map(|()| 0).map_err(Into::into),
        Cli {
            command: Some(Command::Step { .. }),
            ..
        } => step::run().map(|()| 0).map_err(Into::into),
        Cli {
            command: Some(Command::Gate { parent, .. }),
            ..
        } => Ok(gate::run(parent)),
        Cli {
            command: Some(Command::Pod { verb: None, .. }),
            ..
        } => help(),
        Cli {
            command:
                Some(Command::Pod {
                    file,
                    verb: Some(verb),
                }),
            ..
        } => match verb.refusal() {
            Some(refusal) => {
                log.error(refusal);
                Ok(WRONG_COMMAND_LINE)
            }
            None => cli::run_verb(file, &verb, system::since_epoch().as_secs()).and_then(
                |(text, succeeded)| {
                    print(&text)?;
                    Ok(if succeeded { 0 } else { FAILURE })
                },
            ),
        },
        Cli {
            command: Some(Command::WorkerGate(args)),
            ..
        } => machine::enter(args).map(|()| 0),
        Cli {
            command: Some(Command::SystemdUnit { user }),
            ..
        } => print_unit(user.as_deref()).map(|()| 0),
        Cli {
            home,
            command: None,
            machine,
        } => machine::serve(home, machine, log).map(|()| 0),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log.error(format_args!("{error:#}"));
            ExitCode::from(FAILURE)
        }
    }
}

fn print_unit(home: Option<&Path>) -> Result<()> {
    let home = home
        .map(|home| {
            std::fs::canonicalize(home)
                .with_context(|| format!("there is no host home at {}", home.display()))
        })
        .transpose()?;
    let text = systemd::unit_file(&std::env::current_exe()?, home.as_deref());
    Ok(print(text.as_bytes())?)
}

fn help() -> Result<u8> {
    let mut command = Cli::command();
    let pod = command
        .find_subcommand_mut("pod")
        .map(clap::Command::render_help);
    print(
        pod.map(|text| text.to_string())
            .unwrap_or_default()
            .as_bytes(),
    )?;
    Ok(0)
}

/// A reader that has read enough, as in `… | head`, is no failure.
fn print(text: &[u8]) -> io::Result<()> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
