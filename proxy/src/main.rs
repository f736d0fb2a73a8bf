//! `sns-proxy`: what the command line asks for, signals, and the exit status. Everything else is the library, or
//! stands in the file of its command.

mod ask;
mod check;
mod cli;
mod top;
mod ui;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sns_proxy::{Level, Patience, Proxy, Reporter};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command};
use crate::ui::LogFormat;

fn main() -> ExitCode {
    // How the program starts itself inside the network of a pod; nobody else does.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == simplenetes_reach::SUBCOMMAND)
    {
        return ended(&simplenetes_reach::serve().map_err(anyhow::Error::from));
    }
    let cli = Cli::read();
    match (cli.command, cli.file) {
        (Some(command), _) => ended(&obey(command)),
        (None, Some(file)) => logged(&run(&file)),
        // The command line is refused before.
        (None, None) => ExitCode::SUCCESS,
    }
}

fn obey(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Check { file } => check::run(&file),
        Command::Top(arguments) => top::run(&arguments),
        Command::Metrics { file } => {
            let socket = ask::socket(&file)?;
            ui::result(&ask::get(&socket, "/metrics")?)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sns-proxy", &mut script);
            ui::result(&String::from_utf8_lossy(&script))
        }
    }
}

/// For people, who asked for something.
fn ended(result: &anyhow::Result<()>) -> ExitCode {
    status(result, LogFormat::Text)
}

/// For whoever reads the log.
fn logged(result: &anyhow::Result<()>) -> ExitCode {
    let format = std::env::var("LOG_FORMAT").ok();
    let format = format.and_then(|text| LogFormat::parse(&text));
    status(result, format.unwrap_or(LogFormat::Text))
}

fn status(result: &anyhow::Result<()>, format: LogFormat) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::failure(error, format);
            ExitCode::FAILURE
        }
    }
}

fn run(file: &Path) -> anyhow::Result<()> {
    let report = reporter()?;
    raise_descriptor_limit();
    // The workers carry the connections; this thread only decides.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the tasks of the proxy")?;
    runtime.block_on(until_told(file, report))
}

async fn until_told(file: &Path, report: Reporter) -> anyhow::Result<()> {
    // Before anything else: a signal that comes early must not end the process its own way.
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    // Itself, also when the file was replaced or removed meanwhile.
    let helper = Some(PathBuf::from("/proc/self/exe"));
    let mut proxy = Proxy::start(file, helper, Patience::default(), report)?;
    loop {
        tokio::select! {
            _ = hangup.recv() => proxy.reload().await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = proxy.lost() => bail!("the proxy cannot go on: start it again"),
        }
    }
    tokio::select! {
        () = proxy.stop() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn reporter() -> anyhow::Result<Reporter> {
    let level = match std::env::var("LOG_LEVEL") {
        Err(_) => Level::Info,
        Ok(text) => text.parse().map_err(|()| {
            anyhow::anyhow!("LOG_LEVEL cannot be `{text}`: use error, warn, info or debug")
        })?,
    };
    let format = match std::env::var("LOG_FORMAT") {
        Err(_) => LogFormat::Text,
        Ok(text) => match LogFormat::parse(&text) {
            Some(format) => format,
            None => bail!("LOG_FORMAT cannot be `{text}`: use text or json"),
        },
    };
    Ok(ui::reporter(level, format))
}

/// A proxy holds two descriptors per connection, so it takes as many as it may have.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused only where there is nothing to gain.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
