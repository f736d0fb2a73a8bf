//! `sns-proxy FILE`: signals, the log on stderr, and the exit status. Everything else is the library.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use hostfiles::{ClusterPorts, Endpoints, PortMappings, Routers};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sns_proxy::config::beside;
use sns_proxy::{Event, Level, Patience, Proxy, Reporter};
use tokio::signal::unix::{SignalKind, signal};

/// The cluster proxy: a pod reaches any other pod of its cluster at proxy:clusterPort.
///
/// Runs in the foreground and logs to stderr. SIGHUP reads FILE again and keeps all connections;
/// SIGTERM takes no more connections, waits for the open ones as long as DRAIN says, and ends; a second
/// one ends at once.
#[derive(Parser)]
#[command(name = "sns-proxy", version, after_help = AFTER_HELP)]
struct Arguments {
    /// The proxy.conf: lines of `KEY value`; paths in it begin at its own folder.
    file: PathBuf,
    /// Only say whether FILE, and the files that it names, can be used.
    #[arg(long)]
    check: bool,
}

const AFTER_HELP: &str = "\
Keys of FILE:
  HOSTSCONF path         hosts.conf: the proxies of all hosts, this host's first (required)
  PORTSCONF path         portmappings.conf: the pods of this host (required)
  CLUSTERPORTSCONF path  clusterports.conf: the cluster ports that exist; without it, those of PORTSCONF
  ENDPOINTSCONF path     endpoints.conf: all that is to know of the pods of this host; PORTSCONF then only counts
                         for cluster ports of which it says nothing. Without it pods are dialled at their host
                         ports, and have no word in which PROXY header they want
  HOST ip                address to listen on; without it, that of the first line of hosts.conf
  PORT number            port for other proxies; without it, that of the same line, else 32767
  PODHOST ip             address of the pods' host ports; without it, the same as HOST
  CLUSTERPORTS list      ports that may be opened at all (1024-29999,32768-65535)
  QUEUE number           clients of a cluster port that may wait for a place at a full backend, for each
                         thread that accepts clients, which is one on two cores (100)
  QUEUEWAIT seconds      how long they may wait (1)
  DRAIN seconds          how long to wait for open connections at the end (10)

Environment:
  LOG_LEVEL              error, warn, info (the default) or debug

Example:
  sns-proxy --check mnt/conf/proxy.conf && sns-proxy mnt/conf/proxy.conf

Exit status: 0 ended as told or FILE is fine, 1 FILE cannot be used, 2 wrong arguments";

fn main() -> ExitCode {
    // How the program starts itself inside the network of a pod; nobody else does.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == simplenetes_reach::SUBCOMMAND)
    {
        return ended(simplenetes_reach::serve().map_err(anyhow::Error::from));
    }
    let arguments = Arguments::parse();
    let result = if arguments.check {
        check(&arguments.file)
    } else {
        run(&arguments.file)
    };
    ended(result)
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads everything once; files that are not there yet are fine.
fn check(file: &Path) -> anyhow::Result<()> {
    let config = sns_proxy::read_config(file)?;
    let path = |path: &Path| beside(file, path);
    hostfiles::read_if_present::<Routers>(&path(&config.hosts_conf))?;
    hostfiles::read_if_present::<PortMappings>(&path(&config.ports_conf))?;
    if let Some(ports) = &config.cluster_ports_conf {
        hostfiles::read_if_present::<ClusterPorts>(&path(ports))?;
    }
    if let Some(endpoints) = &config.endpoints_conf {
        hostfiles::read_if_present::<Endpoints>(&path(endpoints))?;
    }
    println!("{} is fine", file.display());
    Ok(())
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
            () = proxy.lost() => anyhow::bail!("the proxy cannot go on: start it again"),
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
    Ok(Arc::new(move |event: &Event| {
        if event.level() <= level {
            eprintln!("{}: {event}", event.level());
        }
    }))
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
