//! The command line.

pub(crate) mod change;
pub(crate) mod machine;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use machine::{GateArgs, MachineArgs};

use simplenetesd::pod;
use simplenetesd::pod::logs::{Logs, LogsArgs};

use change::Change;

/// The daemon of a Simplenetes host: makes the pods below a host home equal to the files in it.
///
/// It runs in the foreground, as the user that the host home belongs to, and is woken by changes of
/// the files: which pods should run stands in pods/POD/release/VERSION/pod.state. Ended with SIGTERM
/// or Ctrl-C, it leaves every pod running and finds them again when it is started the next time.
///
/// Without HOSTHOME it must be root, finds all host homes of the machine and serves each by a process
/// that has no other rights than the owner of the home; SIGHUP makes it look again.
#[derive(Debug, Parser)]
#[command(name = "simplenetesd", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_long_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The host home to serve: a directory with `cluster-id.txt` and `pods/`, made by `sns host init`
    #[arg(value_name = "HOSTHOME")]
    pub(crate) home: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  simplenetesd ~/my-cluster                       serve this host home until Ctrl-C
  simplenetesd                                    as root: serve all host homes in /home/*/* and /root/*
  simplenetesd systemd-unit                       the unit file for that
  simplenetesd pod pods/web/release/1.0.0/pod ps  the state of one pod; the file is executable, so
  pods/web/release/1.0.0/pod ps                   this is the same

Environment:
  SNS_LOG_LEVEL        error, warn, info (default) or debug
  SIMPLENETES_PLUGINS  where first-party plugins lie; default: plugins/ beside this program, then
                       /usr/lib/simplenetes/plugins
  SNS_RESCAN_SECONDS   after so long without a change everything is read again (default 60;
                       for new host homes 10)
  SNS_VERB_SECONDS     a verb of a pod that is a program of its own ends after so long (default 600)
  XDG_CACHE_HOME       where translated plugins are kept, in simplenetes/ (default ~/.cache)

Exit status:
  0  the daemon was asked to end; the verb succeeded
  1  failure: the message says why; for `readiness`: the pod is not ready
  2  the command line is wrong";

const POD_EXAMPLES: &str = "\
Examples, in the directory of a release, where the file `pod` is executable:
  ./pod run                      make and start it; without a daemon a resident process drives it
  ./pod ps                       how it is, and why it is not as it should be; --json for programs
  ./pod logs -f -l -20 main      the last twenty lines of a unit, and what it writes from now on
  ./pod rerun main               start one unit again, whatever its restart policy
  ./pod exec -c main -- env      a command in a unit, with the unit's environment
  ./pod shell -c main            a shell there
  ./pod --timeout 60 stop        ask the units to end, and wait a minute at most
  until ./pod readiness; do sleep 1; done";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Asks one pod, or has it changed: the verbs of the Pod API
    #[command(after_help = POD_EXAMPLES)]
    Pod {
        /// The compiled pod
        file: PathBuf,
        /// Wait no longer than so long for what changes the pod; it goes on
        #[arg(long, global = true, value_name = "SECONDS")]
        timeout: Option<u64>,
        #[command(subcommand)]
        verb: Option<Verb>,
    },
    /// The parent of a unit; started by the daemon only
    #[command(hide = true)]
    Shim {
        /// Pod, version and unit, for those who look at the list of processes
        #[arg(num_args = 0..)]
        about: Vec<String>,
    },
    /// The parent of one step of an operation; started by the daemon only
    #[command(hide = true)]
    Step {
        /// Pod, version and step, for those who look at the list of processes
        #[arg(num_args = 0..)]
        about: Vec<String>,
    },
    /// The process that becomes a unit or a step; started by their parents only
    #[command(hide = true)]
    Gate {
        /// The process of the parent
        parent: u32,
        /// As for the parent
        #[arg(num_args = 0..)]
        about: Vec<String>,
    },
    /// Makes sockets in the network namespace of a pod; started by the daemon only
    #[command(hide = true)]
    Reach,
    /// Translates a plugin from standard input to standard output; started by the daemon only
    #[command(hide = true)]
    Translate {
        /// Its limits
        #[arg(num_args = 0..)]
        limits: Vec<u64>,
    },
    /// Serves one sync on standard input and output; started by `sns`, over SSH or on the same machine
    #[command(hide = true)]
    Receive {
        /// The host home, below the home directory of the user unless it is absolute
        #[arg(value_name = "HOSTHOME")]
        home: PathBuf,
    },
    /// Waits for the confirmation of a sync; started by `receive` only
    #[command(hide = true)]
    Settle {
        /// The host home
        #[arg(value_name = "HOSTHOME")]
        home: PathBuf,
    },
    /// The process that becomes the worker of a host home; started by root's daemon only
    #[command(hide = true)]
    WorkerGate(GateArgs),
    /// Prints the systemd unit file that starts this program for all host homes of the machine
    SystemdUnit {
        /// The unit file of a user, for this host home alone
        #[arg(long, value_name = "HOSTHOME")]
        user: Option<PathBuf>,
    },
    /// Prints the completion script of a shell
    #[command(
        after_help = "Example:\n  simplenetesd completions bash > /etc/bash_completion.d/simplenetesd"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// A verb of the Pod API.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows the versions of Pod API, runtime and pod
    Version,
    /// Shows what the pod consists of
    Info(Shape),
    /// Shows how the pod is, and why it is not as it should be
    Ps(Shape),
    /// Exits with 0 if the pod is ready for traffic, else with 1
    Readiness,
    /// Shows what the units of the pod have written
    Logs(LogsArgs),
    #[command(flatten)]
    Change(Change),
    /// Opens a shell in a unit that runs, with the unit's environment
    Shell {
        /// The unit (default: the last one of the pod)
        #[arg(short, long, visible_alias = "unit", value_name = "UNIT")]
        container: Option<String>,
        /// Use bash instead of sh
        #[arg(short, long)]
        bash: bool,
        /// Run these words as a line of the shell instead
        #[arg(last = true)]
        line: Vec<String>,
    },
    /// Runs a command in a unit that runs, with the unit's environment; its exit status is the command's
    Exec {
        /// The unit (default: the last one of the pod)
        #[arg(short, long, visible_alias = "unit", value_name = "UNIT")]
        container: Option<String>,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Drives the pod where there is no daemon; started by other verbs only
    #[command(hide = true)]
    Keep {
        /// Bind ports to this address
        #[arg(long, value_name = "IP")]
        host_interface: Option<IpAddr>,
    },
    #[command(external_subcommand)]
    Unknown(Vec<String>),
}

/// For whom something is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Shape {
    /// As JSON, on one line
    #[arg(long)]
    json: bool,
}

impl Verb {
    /// What to say about a verb that there is not.
    pub(crate) fn refusal(&self) -> Option<String> {
        let Self::Unknown(words) = self else {
            return None;
        };
        let command = Self::augment_subcommands(clap::Command::new("pod"));
        let verbs: Vec<&str> = command
            .get_subcommands()
            .filter(|verb| !verb.is_hide_set())
            .map(clap::Command::get_name)
            .collect();
        Some(format!(
            "no verb `{}` in this version; verbs: {}",
            words.first().map_or("", String::as_str),
            verbs.join(", ")
        ))
    }
}

/// What a verb gives: text for standard output, and whether it succeeded.
pub(crate) fn run_verb(file: PathBuf, verb: &Verb, now_s: u64) -> anyhow::Result<(Vec<u8>, bool)> {
    if let Verb::Logs(args) = verb {
        return Ok((Logs::open(file)?.show(args, now_s)?, true));
    }
    let pod = pod::PodFile::open(file)?;
    Ok(match verb {
        Verb::Version => (pod.version().into_bytes(), true),
        Verb::Info(Shape { json: true }) => (pod.info_json().into_bytes(), true),
        Verb::Info(_) => (pod.info().into_bytes(), true),
        Verb::Ps(Shape { json: true }) => (pod.ps_json(now_s)?.into_bytes(), true),
        Verb::Ps(_) => (pod.ps(now_s)?.into_bytes(), true),
        Verb::Readiness => (Vec::new(), pod.is_ready(now_s)),
        Verb::Logs(_)
        | Verb::Shell { .. }
        | Verb::Exec { .. }
        | Verb::Change(_)
        | Verb::Keep { .. }
        | Verb::Unknown(_) => (Vec::new(), false),
    })
}
