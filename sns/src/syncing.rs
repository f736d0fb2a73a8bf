//! Making the hosts equal to the project: the checks before anything is touched, then lock, plan, stage and
//! apply. What is compared and how a host changes all at once is `simplenetes_sync`'s; what is shown is the
//! commands'.

mod checks;
mod cluster_ports;
mod effects;
mod failure;
mod log;
mod only;
mod outcome;
mod party;
mod peers;
mod session;

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;

use hostfiles::{CommitChain, HostState};
use names::HostName;
use simplenetes_sync::far::Holder;
use simplenetes_sync::near::{peers, routers};
use simplenetes_sync::wire::Confirmation;
use simplenetes_sync::{Near, Wanted};

use crate::command_error::{CommandError, Kind};
use crate::git::Repository;
use crate::project::{Cluster, Host, home_place};

pub(crate) use checks::{check_clean, check_overwrite, check_plugins, check_ports};
pub(crate) use failure::Failure;
pub(crate) use log::SyncLog;
pub(crate) use only::{Only, OnlyTarget};
pub(crate) use outcome::{Became, HostOutcome, change_lines};
pub(crate) use party::{Receiver, daemon, home};
pub(crate) use session::{Request, Session, at_once};

/// One host that a sync works on.
pub(crate) struct Target {
    /// The host.
    pub(crate) host: Host,
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
    /// True when older commits than those are not in this clone.
    is_shallow: bool,
    /// Who syncs, and why.
    holder: Holder,
    /// What a host waits for after a change; none if it keeps the change at once.
    confirmation: Option<Confirmation>,
    /// Which part of the cluster is meant.
    pub(crate) only: Only,
}

/// How long a host waits to be confirmed unless the operator says otherwise, in seconds.
pub(crate) const CONFIRM_WITHIN_SECONDS: u32 = 60;

/// The longest that it can be made to wait: so long nobody else can sync it.
pub(crate) const CONFIRM_WITHIN_SECONDS_MAX: u32 = 3600;

impl Source {
    /// Reads the project: every active or inactive host that is meant, each with all that it should have.
    pub(crate) fn read(cluster: &Cluster<'_>, only: Only) -> Result<Self, CommandError> {
        let hosts = cluster.hosts()?;
        let addresses: Vec<(HostName, HostState, Option<SocketAddr>)> = hosts
            .iter()
            .map(|host| (host.name.clone(), host.state, host.env.router_address()))
            .collect();
        let near = Near::new(cluster.files.clone());
        let cluster_ports = cluster_ports::read(cluster)?;
        let keys = peers::keys(&hosts)?;
        let mut targets = Vec::new();
        only.check(&hosts)?;
        let takes_part = |host: &&Host| !host.is_disabled() && only.has(&host.name);
        for host in hosts.iter().filter(takes_part) {
            let wanted = near
                .wanted(&host.name, &routers(&host.name, &addresses))?
                .with_cluster_ports(&cluster_ports)
                .with_peers(&peers(&host.name, &addresses, &keys));
            targets.push(Target {
                host: host.clone(),
                wanted,
            });
        }
        if targets.is_empty() {
            return Err(
                CommandError::mistake("no host of the project takes part in syncs")
                    .hint("`sns host ls -a` lists all hosts, `sns host register` adds one"),
            );
        }
        check_homes(cluster, &targets)?;
        let repository = Repository::open(cluster.path())?;
        let commits = repository.history(usize::MAX)?;
        let chain = chain(&commits)?;
        Ok(Self {
            holder: holder(cluster, &chain),
            chain,
            is_shallow: repository.is_shallow(),
            commits,
            targets,
            confirmation: None,
            only,
        })
    }

    /// The same, with hosts that go back by themselves unless they are confirmed within so many seconds.
    pub(crate) fn confirmed(mut self, seconds: u32) -> Result<Self, CommandError> {
        let token = token().map_err(|error| {
            CommandError::new(Kind::Internal, "could not make a random word").caused_by(error)
        })?;
        self.confirmation = Some(Confirmation { token, seconds });
        Ok(self)
    }
}

fn holder(cluster: &Cluster<'_>, chain: &CommitChain) -> Holder {
    Holder {
        who: cluster.environment.user.clone(),
        pid: std::process::id(),
        since: Some(cluster.environment.now.to_string()),
        why: format!("sync of {}", chain.head().unwrap_or("no commit")),
    }
}

/// 128 random bits, as text.
fn token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Refuses two hosts with one home: each would take away what the other brings.
fn check_homes(cluster: &Cluster<'_>, targets: &[Target]) -> Result<(), CommandError> {
    let mut known: Vec<(String, &HostName)> = Vec::new();
    for target in targets {
        let shown = home_place(&target.host.env, cluster.environment)?;
        let name = &target.host.name;
        if let Some((_, other)) = known.iter().find(|(home, _)| *home == shown) {
            return Err(CommandError::mistake(format!(
                "hosts {other} and {name} have the same home: {shown}"
            ))
            .hint(format!(
                "give one of them another HOSTHOME in {name}/host.env"
            )));
        }
        known.push((shown, name));
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
