//! The part of the command line that concerns the daemon of the machine and its workers.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use simplenetesd::daemon;
use simplenetesd::log::Log;
use simplenetesd::ramdisk::{Ramdisks, default_limit_mib};
use simplenetesd::root::{self, Become, Pattern};

/// Options of `simplenetesd` without a host home.
#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    /// Without HOSTHOME: where host homes are looked for; `*` stands for any directory
    /// (default: `/home/*/*` and `/root/*`)
    #[arg(long, value_name = "PATTERN", conflicts_with = "home")]
    homes: Vec<Pattern>,
    /// Without HOSTHOME: what the ramdisks of one owner may have together, in MiB (default: 1024,
    /// but no more than a quarter of the memory)
    #[arg(long, value_name = "MIB", conflicts_with = "home")]
    ramdisk_max: Option<u32>,
    /// The directory with `etc` and `run/user`, for tests
    #[arg(long, hide = true, default_value = "/", value_name = "DIR")]
    machine: PathBuf,
    /// Standard input is the way to root's daemon
    #[arg(long, hide = true, requires = "home")]
    worker: bool,
}

/// Arguments of `simplenetesd worker-gate`.
#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    #[arg(long)]
    uid: u32,
    #[arg(long)]
    gid: u32,
    #[arg(long, value_delimiter = ',')]
    groups: Vec<u32>,
    #[arg(long)]
    parent: u32,
    #[arg(long)]
    enter: Vec<PathBuf>,
    home: PathBuf,
}

/// Serves one host home, or all of the machine.
pub(crate) fn serve(home: Option<PathBuf>, args: MachineArgs, log: Log) -> Result<()> {
    match home {
        Some(home) => serve_home(&home, args.worker, log),
        None => serve_machine(args, log),
    }
}

fn serve_machine(args: MachineArgs, log: Log) -> Result<()> {
    // One thread: a worker ends when the thread ends that has started it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut homes = args.homes;
    if homes.is_empty() {
        homes = vec!["/home/*/*".parse()?, "/root/*".parse()?];
    }
    let seconds = std::env::var("SNS_RESCAN_SECONDS").ok();
    let settings = root::Settings {
        homes,
        ramdisk_max_mib: args.ramdisk_max.unwrap_or_else(default_limit_mib),
        machine: args.machine,
        safety_rescan: seconds
            .and_then(|text| text.parse().ok())
            .filter(|seconds| *seconds > 0)
            .map_or(root::SAFETY_RESCAN, Duration::from_secs),
    };
    let ended = runtime.block_on(root::run(settings, log));
    runtime.shutdown_background();
    ended
}

/// Becomes a worker; only returns when that failed.
pub(crate) fn enter(args: GateArgs) -> Result<()> {
    root::enter(&Become {
        uid: args.uid,
        gid: args.gid,
        groups: args.groups,
        parent: args.parent,
        enter: args.enter,
        home: args.home,
    })
    .map_err(Into::into)
}

/// Serves one host home; a worker gets its ramdisks from root's daemon.
fn serve_home(home: &Path, is_worker: bool, log: Log) -> Result<()> {
    let channel = is_worker.then(take_channel).transpose()?;
    let log = if is_worker {
        log.about(&home.display().to_string())
    } else {
        log
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let mut settings = daemon::Settings::from_environment()?;
        settings.ramdisks = channel.map(Ramdisks::parent).transpose()?;
        daemon::run(home, settings, log).await
    });
    // A blocking call that is still under way must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// Takes the channel from standard input, so that no child gets it.
fn take_channel() -> Result<UnixStream> {
    let stdin = std::io::stdin();
    let channel = stdin.as_fd().try_clone_to_owned()?;
    let nothing = std::fs::File::open("/dev/null").context("cannot open /dev/null")?;
    rustix::stdio::dup2_stdin(nothing)?;
    Ok(channel.into())
}
