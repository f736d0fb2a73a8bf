//! Making the hosts equal to the project: the checks before anything is touched, then lock, plan, stage and
//! apply. What is compared and how a host changes all at once is `simplenetes_sync`'s; what is shown is the
//! commands'.

mod checks;
mod cluster_ports;
mod log;
mod outcome;
mod peers;
mod session;
mod trial;

use std::net::SocketAddr;
use std::path::PathBuf;

use hostfiles::{CommitChain, HostHome, HostState};
use names::HostName;
use simplenetes_sync::near::{peers, routers};
use simplenetes_sync::{Near, Wanted};

use crate::command_error::{CommandError, Kind};
use crate::git::Repository;
use crate::project::{Cluster, Host};

pub(crate) use checks::{check_clean, check_overwrite, check_ports, missing_plugins};
pub(crate) use log::SyncLog;
pub(crate) use outcome::{Became, HostOutcome, change_lines};
pub(crate) use session::{Request, check_chains, diff, sync};

/// One host that a sync works on.
pub(crate) struct Target {
    /// The host.
    pub(crate) host: Host,
    /// Its home.
    home: HostHome,
    /// What it should have.
    wanted: Wanted,
}

/// Everything that a sync needs to know of the project.
pub(crate) struct Source {
    /// The hosts, by name.
    pub(crate) targets: Vec<Target>,
    /// All commits of the project, oldest first: a host may know none but an old one.
    commits: Vec<String>,
    /// Those that a host is told.
    pub(crate) chain: CommitChain,
}

impl Source {
    /// Reads the project: every active or inactive host, each with all that it should have.
    pub(crate) fn read(cluster: &Cluster<'_>) -> Result<Self, CommandError> {
        let hosts = cluster.hosts()?;
        let addresses: Vec<(HostName, HostState, Option<SocketAddr>)> = hosts
            .iter()
            .map(|host| (host.name.clone(), host.state, host.env.router_address()))
            .collect();
        let near = Near::new(cluster.files.clone());
        let cluster_ports = cluster_ports::read(cluster)?;
        let keys = peers::keys(&hosts)?;
        let mut targets = Vec::new();
        for host in hosts.iter().filter(|host| !host.is_disabled()) {
            let home = host.home(cluster.environment)?.files;
            let wanted = near
                .wanted(&host.name, &routers(&host.name, &addresses))?
                .with_cluster_ports(&cluster_ports)
                .with_peers(&peers(&host.name, &addresses, &keys));
            targets.push(Target {
                host: host.clone(),
                home,
                wanted,
            });
        }
        if targets.is_empty() {
            return Err(
                CommandError::mistake("no host of the project takes part in syncs")
                    .hint("`sns host ls -a` lists all hosts, `sns host register` adds one"),
            );
        }
        check_homes(&targets)?;
        let commits = Repository::open(cluster.path())?.history(usize::MAX)?;
        Ok(Self {
            chain: chain(&commits)?,
            commits,
            targets,
        })
    }
}

/// Refuses two hosts with one home: each would take away what the other brings.
fn check_homes(targets: &[Target]) -> Result<(), CommandError> {
    let mut known: Vec<(PathBuf, &HostName)> = Vec::new();
    for target in targets {
        let path = target.home.path();
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = &target.host.name;
        if let Some((_, other)) = known.iter().find(|(home, _)| *home == path) {
            let shown = path.display();
            return Err(CommandError::mistake(format!(
                "hosts {other} and {name} have the same home: {shown}"
            ))
            .hint(format!(
                "give one of them another HOSTHOME in {name}/host.env"
            )));
        }
        known.push((path, name));
    }
    Ok(())
}

/// The newest commits.
fn chain(commits: &[String]) -> Result<CommitChain, CommandError> {
    CommitChain::new(commits.iter().cloned()).map_err(|error| {
        CommandError::new(Kind::Internal, "git named a commit in an impossible way")
            .caused_by(error)
    })
}
