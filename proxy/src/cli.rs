//! The command line of `sns-proxy`: what can be asked of it, and the help that teaches it.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

/// The cluster proxy: a pod reaches any other pod of its cluster at proxy:clusterPort.
///
/// `sns-proxy FILE` runs in the foreground and logs to stderr. SIGHUP reads FILE again, goes on as a new program
/// if one stands in its place, and keeps all connections; SIGTERM takes no more connections, waits for the open ones as long as DRAIN says, and ends; a second
/// one ends at once.
#[derive(Debug, Parser)]
#[command(
    name = "sns-proxy",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// The proxy.conf to run with: lines of `KEY value`; paths in it begin at its own folder
    #[arg(required = true)]
    pub(crate) file: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What else can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Says whether FILE, and the files that it names, can be used, and what would be listened on
    #[command(after_help = CHECK_HELP)]
    Check {
        /// The proxy.conf
        file: PathBuf,
    },
    /// Shows the connections of the proxy that runs with FILE, busiest first
    #[command(after_help = TOP_HELP)]
    Top(TopArgs),
    /// Prints the metrics of the proxy that runs with FILE
    #[command(after_help = METRICS_HELP)]
    Metrics {
        /// The proxy.conf of the proxy; it has to name a METRICSSOCKET
        file: PathBuf,
    },
    /// Has the proxy that runs with FILE go on as this program, with all its connections
    #[command(after_help = UPGRADE_HELP)]
    Upgrade {
        /// The proxy.conf of the proxy; it has to name a METRICSSOCKET
        file: PathBuf,
    },
    /// Prints the number of the state that this program can go on with
    #[command(hide = true)]
    StateFormat,
    /// Prints the number of the doors that this program can go on with
    #[command(hide = true)]
    DoorsFormat,
    /// Takes what another program carries from its standard input, and says whether it could go on
    #[command(hide = true)]
    Rehearse,
    /// Serves out the connections on its standard input
    #[command(hide = true)]
    ServeOut {
        /// The proxy.conf
        file: PathBuf,
    },
    /// Prints the completion script of a shell
    #[command(
        after_help = "Example:\n  sns-proxy completions bash > /etc/bash_completion.d/sns-proxy"
    )]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// How connections are shown.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// The proxy.conf of the proxy; it has to name a METRICSSOCKET
    pub(crate) file: PathBuf,
    /// One table, and no more; always so when the output is no terminal
    #[arg(long)]
    pub(crate) once: bool,
    /// One JSON object for each connection, and a last one with `connections` and `left_out`; once
    #[arg(long)]
    pub(crate) json: bool,
    /// Only connections of this cluster port
    #[arg(long, value_name = "NUMBER")]
    pub(crate) port: Option<u16>,
}

impl Cli {
    /// Reads the command line of this process; says what is wrong with it and ends the process otherwise.
    pub(crate) fn read() -> Self {
        let words: Vec<String> = std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        Self::try_parse().unwrap_or_else(|error| match no_command(&words) {
            Some(message) => Self::command()
                .error(ErrorKind::InvalidSubcommand, message)
                .exit(),
            None => error.exit(),
        })
    }
}

/// What to say when the first of several words is no command: otherwise it would be taken for a FILE, and the
/// complaint would be about the second one.
fn no_command(words: &[String]) -> Option<String> {
    let [_, word, _, ..] = words else { return None };
    let command = Cli::command();
    let names: Vec<&str> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(clap::Command::get_name)
        .collect();
    if word.starts_with('-') || command.find_subcommand(word).is_some() {
        return None;
    }
    let distance = |name: &&&str| strsim::damerau_levenshtein(word, name);
    let hint = match names.iter().min_by_key(distance) {
        Some(name) if distance(&name) <= 2 => format!("did you mean `{name}`?"),
        _ => format!("the commands are {}", names.join(", ")),
    };
    Some(format!(
        "there is no command `{word}`, and a proxy runs with one FILE: {hint}"
    ))
}

const AFTER_HELP: &str = "\
Keys of FILE:
  HOSTSCONF path         hosts.conf: the proxies of all hosts, this host's first (required)
  PORTSCONF path         portmappings.conf: the pods of this host (required)
  CLUSTERPORTSCONF path  clusterports.conf: the cluster ports that exist; without it, those of
                         PORTSCONF
  ENDPOINTSCONF path     endpoints.conf: all that is to know of the pods of this host; PORTSCONF then
                         only counts for cluster ports of which it says nothing. Without it pods are
                         dialled at their host ports, and have no word in which PROXY header they want
  PEERSCONF path         peers.conf: the proxies of all hosts, by their public keys
  PEERKEY path           proxy-key.txt: the private keys of this proxy
  HOST ip                address to listen on; without it, that of the first line of hosts.conf
  PORT number            port for other proxies; without it, that of the same line, else 32767
  PODHOST ip             address of the pods' host ports; without it, the same as HOST
  CLUSTERPORTS list      ports that may be opened at all (1024-29999,32768-65535)
  QUEUE number           clients of a cluster port that may wait for a place at a full backend, for
                         each thread that accepts clients, which is one on two cores (100)
  QUEUEWAIT seconds      how long they may wait (1)
  DRAIN seconds          how long to wait for open connections at the end (10)
  UPGRADEDRAIN seconds   how long connections may go on in the old program where a new one cannot
                         take them over; see `upgrade --help` (3600)
  ENCRYPT yes|no         whether clients of pods on other hosts go there over TLS 1.3 (no)
  LEGACY yes|no          whether hosts without keys are asked, and served, in the protocol of the
                         original, which proves nothing (no)
  METRICSSOCKET path     unix socket, for the owner only, at which `top`, `metrics` and
                         `curl --unix-socket path http://proxy/metrics` look; without it there is none

Environment:
  LOG_LEVEL              error, warn, info (the default) or debug
  LOG_FORMAT             text (the default) or json: one object for each line, with ts, level,
                         event, what it is about, and message

Examples:
  sns-proxy check mnt/conf/proxy.conf && sns-proxy mnt/conf/proxy.conf
  LOG_FORMAT=json sns-proxy mnt/conf/proxy.conf
  sns-proxy top mnt/conf/proxy.conf
  sns-proxy metrics mnt/conf/proxy.conf | grep ejections

Exit status: 0 ended as told or FILE is fine, 1 FILE cannot be used or nobody answers,
2 wrong arguments";

const CHECK_HELP: &str = "\
Files that are not there yet are fine: the proxy waits for them. Nothing is opened, and a running
proxy is not asked.

Example:
  sns-proxy check mnt/conf/proxy.conf

Exit status: 0 everything can be used, 1 something cannot, 2 wrong arguments";

const TOP_HELP: &str = "\
Columns:
  CLIENT   who connected: a client, or the proxy of another host
  PORT     the cluster port
  BACKEND  the host port of a pod of this host, or the proxy of another host
  POD      the pod, where it is known
  STATE    asked (another proxy has not said what it wants), dialling, queued (for a place),
           joined, closing
  AGE      since it connected
  UP DOWN  bytes from the client, and to it
  RATE     bytes in a second both ways, since the last look; at first, since it connected
  COPY     zero while a long stream goes through the kernel alone, else copy

Of very many connections those are listed that have moved most, and it is said how many were
left out. Ctrl-C ends.

Examples:
  sns-proxy top mnt/conf/proxy.conf
  sns-proxy top --once --port 61000 mnt/conf/proxy.conf
  sns-proxy top --json mnt/conf/proxy.conf | jq 'select(.state == \"queued\")'

Exit status: 0 shown, 1 FILE cannot be used or nobody answers, 2 wrong arguments";

const UPGRADE_HELP: &str = "\
The process stays, and so do its listening ports and its connections, streams that are under way too:
it is the program that changes. The new one is tried before; when it cannot use FILE and the files
that it names (see `check`), or what the running one carries, nothing happens.

A program of another version may not be able to carry what the running one does. Then it takes over
the ports, in the same process, and the old program serves out its connections in a process of its
own, which ends with the last of them, or after UPGRADEDRAIN. As long as it lives the two count
maxConn and the clients in the queue each for themselves, and metrics and `top` show only what is new.

SIGHUP does the same when another program stands where the running one was started from.

Example:
  /opt/new/sns-proxy upgrade mnt/conf/proxy.conf

Exit status: 0 the proxy runs as this program, 1 it does not, 2 wrong arguments";

const METRICS_HELP: &str = "\
The text format of Prometheus, version 0.0.4. The same is at METRICSSOCKET as http://proxy/metrics.

Examples:
  sns-proxy metrics mnt/conf/proxy.conf
  curl --unix-socket /path/of/METRICSSOCKET http://proxy/metrics

Exit status: 0 printed, 1 FILE cannot be used or nobody answers, 2 wrong arguments";
