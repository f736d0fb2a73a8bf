//! `simplenetesd`: parses the command line, runs what it names and turns the outcome into an exit status.

mod cli;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};
use cli::{Cli, Command, Verb, machine};
use hostfiles::HostHome;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use simplenetes_plugin::HelperLimits;
use simplenetesd::daemon::Settings;
use simplenetesd::foreign::{become_program, is_program};
use simplenetesd::log::{Level, Log};
use simplenetesd::pod::logs::{Logs, LogsArgs};
use simplenetesd::{attach, gate, keep, owner, receive, shim, step, system, systemd};

const FAILURE: u8 = 1;
/// Between two looks at logs that are followed.
const FOLLOW_PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
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
    if let Some(error) = become_foreign_pod() {
        log.error(format_args!("{error:#}"));
        return ExitCode::from(FAILURE);
    }
    let Cli {
        home,
        command,
        machine: options,
    } = Cli::parse();
    let outcome = match command {
        Some(command) => run(command, log),
        None => machine::serve(home, options, log).map(|()| 0),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log.error(format_args!("{error:#}"));
            ExitCode::from(FAILURE)
        }
    }
}

/// Becomes the program, for `pod FILE …` of a file that is a foreign pod: what the words mean is its own
/// affair. Returns when it is none, or cannot be executed, or when the words ask for a form of logs that is ours.
fn become_foreign_pod() -> Option<anyhow::Error> {
    let mut words = std::env::args_os().skip(1);
    let file = PathBuf::from(
        words
            .next()
            .filter(|word| word == "pod")
            .and(words.next())?,
    );
    let words: Vec<OsString> = words.collect();
    if !is_program(&file) || asks_for_lines(&words) {
        return None;
    }
    let place = std::fs::canonicalize(&file).map_err(anyhow::Error::new);
    let me = rustix::process::geteuid().as_raw();
    let error = match place.and_then(|place| Ok(owner::check(&place, None, me)?)) {
        Ok(()) => become_program(&file, &words).into(),
        Err(error) => error,
    };
    Some(error.context(format!("cannot execute {}", file.display())))
}

/// True for `logs --json …`. The files are written by the daemon, or in its form, whatever the pod is.
fn asks_for_lines(words: &[OsString]) -> bool {
    words.first().is_some_and(|word| word == "logs") && words.iter().any(|word| word == "--json")
}

/// Runs a subcommand; gives the exit status.
fn run(command: Command, log: Log) -> Result<u8> {
    match command {
        Command::Shim { .. } => Ok(shim::run().map(|()| 0)?),
        Command::Step { .. } => Ok(step::run().map(|()| 0)?),
        Command::Gate { parent, .. } => Ok(gate::run(parent)),
        Command::Reach => Ok(simplenetes_reach::serve().map(|()| 0)?),
        Command::Translate { limits } => Ok(translate(&limits)),
        Command::Receive { home } => serve_sync(&home).map(|()| 0),
        Command::Settle { home } => Ok(receive::settle(&HostHome::new(home)).map(|_| 0)?),
        Command::WorkerGate(args) => machine::enter(args).map(|()| 0),
        Command::SystemdUnit { user } => print_unit(user.as_deref()).map(|()| 0),
        Command::Completions { shell } => complete(shell).map(|()| 0),
        Command::Pod { verb: None, .. } => help(),
        Command::Pod {
            file,
            timeout,
            verb: Some(verb),
        } => run_verb(file, &verb, timeout, log),
    }
}

fn run_verb(file: PathBuf, verb: &Verb, timeout: Option<u64>, log: Log) -> Result<u8> {
    if let Some(refusal) = verb.refusal() {
        log.error(refusal);
        return Ok(WRONG_COMMAND_LINE);
    }
    match verb {
        Verb::Keep { host_interface } => {
            return keep_up(&file, *host_interface, log).map(|()| 0);
        }
        Verb::Shell {
            container,
            bash,
            line,
        } => {
            let mut argv = vec![if *bash { "bash" } else { "sh" }.to_owned()];
            if !line.is_empty() {
                argv.extend(["-c".to_owned(), line.join(" ")]);
            }
            let settings = Settings::from_environment()?;
            return attach::run(&file, container.as_deref(), argv, &settings, log);
        }
        Verb::Exec { container, command } => {
            let settings = Settings::from_environment()?;
            return attach::run(&file, container.as_deref(), command.clone(), &settings, log);
        }
        Verb::Logs(args) if args.follow => return follow(file, args),
        Verb::Change(change) => return cli::change::run(&file, change, timeout, log),
        _ => {}
    }
    let (text, succeeded) = cli::run_verb(file, verb, system::since_epoch().as_secs())?;
    print(&text)?;
    Ok(if succeeded { 0 } else { FAILURE })
}

/// Speaks with `sns` about one host home.
fn serve_sync(home: &Path) -> Result<()> {
    let settings = Settings::from_environment()?;
    let below = std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
    let home = HostHome::new(std::path::absolute(below.join(home))?);
    Ok(receive::receive(home, settings.cache)?)
}

/// What is wrong goes to standard error bare: the daemon puts it into its own message.
fn translate(limits: &[u64]) -> u8 {
    let limits = HelperLimits::parse(limits);
    match simplenetes_plugin::translate(limits, io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => 0,
        Err(error) => {
            let _ = write!(io::stderr(), "{error}");
            FAILURE
        }
    }
}

/// Shows the logs of a pod until it is ended.
fn follow(file: PathBuf, args: &LogsArgs) -> Result<u8> {
    let logs = Logs::open(file)?;
    let now = || system::since_epoch().as_secs();
    let (shown, mut follow) = logs.follow(args, now())?;
    print(&shown)?;
    loop {
        if has_no_reader(FOLLOW_PAUSE) {
            return Ok(0);
        }
        let news = follow.news(now());
        if !news.is_empty() && io::stdout().lock().write_all(&news).is_err() {
            // Whoever has read enough, as in `… | head`, does not want more.
            return Ok(0);
        }
    }
}

/// True when nobody can read standard output any more; else it takes that long to say no. A pod that is silent must not
/// keep a follower whose connection has gone.
fn has_no_reader(pause: Timespec) -> bool {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    match poll(&mut watched, Some(&pause)) {
        Ok(1..) => watched.iter().any(|end| end.revents().intersects(gone)),
        _ => false,
    }
}

fn print_unit(home: Option<&Path>) -> Result<()> {
    let home = home.map(simplenetesd::home::check).transpose()?;
    let home = home.as_ref().map(HostHome::path);
    let text = systemd::unit_file(&std::env::current_exe()?, home);
    Ok(print(text.as_bytes())?)
}

/// Drives one pod, with the settings of the environment.
fn keep_up(file: &Path, interface: Option<IpAddr>, log: Log) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let settings = Settings::from_environment()?;
    let ended = runtime.block_on(keep::run(file, interface, &settings, log));
    // A blocking call that is still under way must not hold up the end.
    runtime.shutdown_background();
    ended
}

fn complete(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "simplenetesd", &mut script);
    Ok(print(&script)?)
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
