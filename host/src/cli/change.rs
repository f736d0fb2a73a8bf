//! The verbs of the Pod API that change something, as words of the command line.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use hostfiles::{PodAction, PodVerb};
use simplenetesd::ask::{Patience, ask};
use simplenetesd::daemon::runtime_directory;
use simplenetesd::log::Log;
use simplenetesd::pod::PodFile;
use simplenetesd::ramdisk;

/// The exit status of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// A verb that changes something. It returns when that is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Change {
    /// Makes the pod and starts its units; whatever holds by hand does so no longer
    Run(Interface),
    /// Asks the units to end, the last first; holds until pod.state changes or `run` is called
    Stop,
    /// Ends the units at once; holds like `stop`
    Kill,
    /// Stops the pod and removes what it made, except logs and volumes; holds like `stop`
    Rm(Hasty),
    /// Removes and runs the pod; with names it starts these units again, whatever their restart policy
    Rerun {
        #[command(flatten)]
        hasty: Hasty,
        #[command(flatten)]
        interface: Interface,
        /// Units to start again, while the others stay as they are
        units: Vec<String>,
    },
    /// Signals units in the way that the pod names; those that name none are left alone
    Signal {
        /// Units; all when none is named
        units: Vec<String>,
    },
    /// Tells the units that mount these configs that they have changed
    ReloadConfigs {
        /// Names of configs
        #[arg(required = true)]
        configs: Vec<String>,
    },
    /// Fetches what the pod needs
    Download {
        /// Fetch also what is there already
        #[arg(short, long)]
        force: bool,
    },
    /// Makes the pod and does not start it
    Create(Interface),
    /// Starts the pod that `create` has made
    Start,
    /// Makes the volumes of the pod
    CreateVolumes,
    /// Makes the ramdisks of the pod: as root in memory, else as plain directories
    CreateRamdisks {
        /// Only show them, one NAME:SIZE a line
        #[arg(short, long, conflicts_with = "delete")]
        list: bool,
        /// Remove them
        #[arg(short, long)]
        delete: bool,
    },
    /// Removes the volumes of a pod that was removed
    Purge,
}

/// Whether units are asked or killed.
#[derive(Debug, Args)]
pub(crate) struct Hasty {
    /// End the units at once
    #[arg(short, long)]
    kill: bool,
}

/// Where ports are bound.
#[derive(Debug, Args)]
pub(crate) struct Interface {
    /// Bind ports to this address where there is no daemon (default: that of the host, or 127.0.0.1)
    #[arg(long, value_name = "IP")]
    host_interface: Option<IpAddr>,
}

impl Change {
    fn action(&self) -> (PodAction, Option<IpAddr>) {
        let mut interface = None;
        let (verb, words) = match self {
            Self::Run(at) | Self::Create(at) => {
                interface = at.host_interface;
                let verb = if matches!(self, Self::Run(_)) {
                    PodVerb::Run
                } else {
                    PodVerb::Create
                };
                (verb, Vec::new())
            }
            Self::Stop => (PodVerb::Stop, Vec::new()),
            Self::Kill => (PodVerb::Kill, Vec::new()),
            Self::Rm(hasty) => (PodVerb::Rm, hasty.words()),
            Self::Rerun {
                hasty,
                interface: at,
                units,
            } => {
                interface = at.host_interface;
                (PodVerb::Rerun, [hasty.words(), units.clone()].concat())
            }
            Self::Signal { units } => (PodVerb::Signal, units.clone()),
            Self::ReloadConfigs { configs } => (PodVerb::ReloadConfigs, configs.clone()),
            Self::Download { force } => (
                PodVerb::Download,
                force.then(|| "--force".to_owned()).into_iter().collect(),
            ),
            Self::Start => (PodVerb::Start, Vec::new()),
            Self::CreateVolumes => (PodVerb::CreateVolumes, Vec::new()),
            Self::CreateRamdisks { .. } => (PodVerb::CreateRamdisks, Vec::new()),
            Self::Purge => (PodVerb::Purge, Vec::new()),
        };
        let action = PodAction {
            words,
            ..PodAction::new(verb)
        };
        (action, interface)
    }
}

impl Hasty {
    fn words(&self) -> Vec<String> {
        self.kill.then(|| "--kill".to_owned()).into_iter().collect()
    }
}

/// Does it; gives the exit status.
pub(crate) fn run(file: &Path, change: &Change, limit_s: Option<u64>, log: Log) -> Result<u8> {
    if let Change::CreateRamdisks { list: true, .. } = change {
        let pod = PodFile::open(file.to_owned())?;
        crate::print(ramdisk::list(pod.pod()).as_bytes())?;
        return Ok(0);
    }
    let (action, interface) = change.action();
    let patience = Patience {
        limit: limit_s.map(Duration::from_secs),
        interface,
    };
    let shows_progress = std::io::stderr().is_terminal();
    let mut told = |line: &str| {
        if shows_progress && !line.is_empty() {
            log.info(line);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        if let Change::CreateRamdisks { delete: true, .. } = change {
            simplenetesd::ask::remove_ramdisks(file, runtime_directory()).await?;
            return Ok(0);
        }
        let verb = action.verb;
        tokio::select! {
            asked = ask(file, action, patience, &mut told) => {
                asked.with_context(|| format!("cannot {verb} the pod"))?;
                Ok(0)
            }
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                log.warn(format_args!("`{verb}` goes on without you; `ps` tells how"));
                Ok(INTERRUPTED)
            }
        }
    })
}
