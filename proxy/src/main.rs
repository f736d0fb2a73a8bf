//! `sns-proxy`: what the command line asks for, signals, and the exit status. Everything else is the library, or
//! stands in the file of its command.

mod ask;
mod check;
mod cli;
mod top;
mod ui;
mod upgrade;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;
use nix::sys::signal::Signal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sns_proxy::{Event, Frozen, Level, Patience, Proxy, Reporter, Upgrade};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::cli::{Cli, Command};
use crate::ui::LogFormat;
use crate::upgrade::{Predecessors, Program, Takes};

/// How long whoever asked for an upgrade may take to read that it comes.
const ANSWERED_IN: Duration = Duration::from_millis(10);

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
        (Some(command @ Command::ServeOut { .. }), _) => logged(&obey(command)),
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
        Command::Upgrade { file } => ui::result(&upgrade::ask(&file)?),
        Command::StateFormat => ui::result(&format!("{}\n", sns_proxy::FORMAT)),
        Command::DoorsFormat => ui::result(&format!("{}\n", sns_proxy::DOORS_FORMAT)),
        Command::Rehearse => {
            raise_descriptor_limit();
            ui::result(upgrade::rehearsed()?)
        }
        Command::ServeOut { file } => upgrade::serve_out::run(&file, reporter()?),
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
    runtime()?.block_on(until_told(file, report))
}

/// The workers carry the connections; this thread only decides.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the tasks of the proxy")
}

async fn until_told(file: &Path, report: Reporter) -> anyhow::Result<()> {
    // Before anything else: a signal that comes early must not end the process its own way.
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut ended = signal(SignalKind::child()).context("cannot wait for SIGCHLD")?;
    upgrade::hear_signals();
    let (program, mut predecessors) = (Program::own(), Predecessors::inherited());
    let mut proxy = start(file, &report, upgrade::resumed()?)?;
    loop {
        let (next, answer) = tokio::select! {
            _ = hangup.recv() => match program.replaced() {
                Some(next) => (next.to_owned(), None),
                None => {
                    proxy.reload().await;
                    continue;
                }
            },
            asked = proxy.upgrade_asked() => match asked {
                Some(Upgrade { program, answer }) => (program, Some(answer)),
                None => bail!("the proxy cannot go on: start it again"),
            },
            _ = ended.recv() => {
                predecessors.bury();
                continue;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        let fits = upgrade::probe(&next, file, &mut predecessors).await;
        let fits = fits.map_err(|error| format!("{error:#}"));
        if let Some(answer) = answer {
            // Whoever asked may be gone, which changes nothing. If not, it has to be told before.
            let _ = answer.send(fits.clone().map(drop));
            sleep(ANSWERED_IN).await;
        }
        match fits {
            Ok(takes) => proxy = go_on(proxy, (&next, takes), file, &report, &predecessors).await?,
            Err(why) => {
                report(&Event::NotUpgraded(next, why));
                proxy.reload().await;
            }
        }
    }
    predecessors.signal(Signal::SIGTERM);
    let all_end = async {
        proxy.stop().await;
        while !predecessors.is_empty() {
            ended.recv().await;
            predecessors.bury();
        }
    };
    tokio::select! {
        () = all_end => return Ok(()),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    predecessors.signal(Signal::SIGTERM);
    Ok(())
}

fn start(file: &Path, report: &Reporter, frozen: Option<Frozen>) -> anyhow::Result<Proxy> {
    // Itself, also when the file was replaced or removed meanwhile.
    let helper = Some(PathBuf::from("/proc/self/exe"));
    let (patience, report) = (Patience::default(), Arc::clone(report));
    Ok(match frozen {
        Some(frozen) => Proxy::resume(file, helper, patience, report, frozen)?,
        None => Proxy::start(file, helper, patience, report)?,
    })
}

/// Goes on as another program; as this one when that cannot be.
async fn go_on(
    proxy: Proxy,
    (program, takes): (&Path, Takes),
    file: &Path,
    report: &Reporter,
    predecessors: &Predecessors,
) -> anyhow::Result<Proxy> {
    report(&match takes {
        Takes::Everything => Event::Upgrading(program.to_owned()),
        Takes::Doors => Event::Succeeded(program.to_owned()),
    });
    let frozen = proxy.freeze().await;
    let frozen = frozen.context("cannot put the connections to rest")?;
    let why = upgrade::go_on(program, takes, file, &frozen, predecessors).await;
    report(&Event::NotUpgraded(program.to_owned(), format!("{why:#}")));
    start(file, report, Some(frozen))
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
