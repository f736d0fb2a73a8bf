//! One host that takes part in a sync: the program that was started there, and what it says.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hostfiles::{ClusterId, CommitChain};
use simplenetes_sync::chain::extended;
use simplenetes_sync::near::{Delivery, Link, LinkError};
use simplenetes_sync::wire::{Confirmation, Seen};
use simplenetes_sync::{Options, Plan, Tree, plan};

use super::failure::Failure;
use super::{Became, Source, Target, effects};
use crate::command_error::{CommandError, Kind};
use crate::environment::Environment;
use crate::project::{Host, home_path};
use crate::remote::{Command, Remote, Remotes, Running};

/// The program that says it to a host that asks.
pub(crate) const PROGRAM: &str = concat!("sns ", env!("CARGO_PKG_VERSION"));

/// How often a change is tried to be confirmed before its host is left to itself.
const CONFIRM_TRIES: u32 = 3;

/// How long a program that has broken off may take to end.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);

/// A program at the far end that waits for questions.
pub(crate) struct Receiver {
    host: Host,
    link: Link,
    running: Running,
    /// True when the host is this machine.
    pub(crate) is_local: bool,
    /// The connection, which ends with this.
    _remote: Remote,
}

impl Receiver {
    /// Connects to a host and starts the far end of a sync there.
    pub(crate) fn open(
        remotes: &Remotes,
        environment: &Environment,
        host: &Host,
    ) -> Result<Self, Failure> {
        let remote = remotes
            .connect(host)
            .map_err(|error| Failure::Away(error.into()))?;
        let command = daemon(environment, &remote)
            .arg("receive")
            .arg(home(environment, host, &remote).map_err(Failure::No)?);
        let mut running = remote
            .run(&command)
            .map_err(|error| Failure::Away(error.into()))?;
        let (Some(stdin), Some(stdout)) = (running.stdin.take(), running.stdout.take()) else {
            // A program that was not started has no input; it has said why.
            return Err(not_started(host, &running.errors()));
        };
        match Link::open(stdout, stdin, PROGRAM) {
            Ok(link) => Ok(Self {
                host: host.clone(),
                link,
                running,
                is_local: remote.is_local(),
                _remote: remote,
            }),
            Err(error) => Err(Failure::of(host, error, &last_words(running))),
        }
    }

    /// Asks something.
    pub(crate) fn ask<T>(
        &self,
        ask: impl FnOnce(&Link) -> Result<T, LinkError>,
    ) -> Result<T, Failure> {
        ask(&self.link).map_err(|error| Failure::of(&self.host, error, &self.running.errors()))
    }
}

/// The daemon's program on a host.
pub(crate) fn daemon(environment: &Environment, remote: &Remote) -> Command {
    // Installed together, used together.
    let beside = environment.program_dir.as_ref();
    let beside = beside.map(|directory| directory.join("simplenetesd"));
    let beside = beside.filter(|program| remote.is_local() && program.exists());
    Command::new(beside.map_or_else(
        || "simplenetesd".to_owned(),
        |program| program.display().to_string(),
    ))
}

/// The home of a host, as its programs understand it.
pub(crate) fn home(
    environment: &Environment,
    host: &Host,
    remote: &Remote,
) -> Result<String, CommandError> {
    let home = host.env.host_home();
    match remote.is_local() {
        true => Ok(home_path(home, environment)?.display().to_string()),
        false => Ok(home.to_owned()),
    }
}

/// What a program says that ends. One that goes on is not waited for: it may do so for ever.
fn last_words(mut running: Running) -> String {
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = running.wait();
        // Nobody listens any more when it took too long.
        let _ = sender.send(running.errors());
    });
    ended.recv_timeout(LAST_WORDS_WITHIN).unwrap_or_default()
}

fn not_started(host: &Host, said: &str) -> Failure {
    let error = CommandError::new(
        Kind::Unreachable,
        format!("could not start simplenetesd on host {}", host.name),
    );
    Failure::Away(
        error
            .listing(said.lines().map(str::to_owned))
            .hint("sns and simplenetesd are installed together: put both into one directory"),
    )
}

/// A host in the middle of a sync.
pub(super) struct Party<'s> {
    pub(super) target: &'s Target,
    receiver: Receiver,
    /// What the host said when it was looked at or locked.
    pub(super) seen: Option<Seen>,
    /// What will change.
    pub(super) plan: Plan,
    /// What that does to the pods of the host.
    pub(super) effects: Vec<String>,
}

impl<'s> Party<'s> {
    pub(super) fn open(
        remotes: &Remotes,
        environment: &Environment,
        target: &'s Target,
    ) -> Result<Self, Failure> {
        Ok(Self {
            target,
            receiver: Receiver::open(remotes, environment, &target.host)?,
            seen: None,
            plan: Plan::default(),
            effects: Vec::new(),
        })
    }

    pub(super) fn look(&mut self, cluster: &ClusterId) -> Result<(), Failure> {
        let wanted = &self.target.wanted.tree;
        self.seen = Some(self.receiver.ask(|link| link.look(cluster, wanted))?);
        Ok(())
    }

    pub(super) fn lock(&mut self, source: &Source, cluster: &ClusterId) -> Result<(), Failure> {
        let wanted = &self.target.wanted.tree;
        let lock = |link: &Link| link.lock(cluster, wanted, &source.holder);
        self.seen = Some(self.receiver.ask(lock)?);
        Ok(())
    }

    /// Finds what has to change.
    pub(super) fn plan(&mut self, source: &Source, options: &Options) -> Result<(), CommandError> {
        let options = Options {
            pods: source.only.pods(&self.target.host.name).cloned(),
            ..options.clone()
        };
        self.plan = match self.present() {
            Some(present) => plan::plan(&self.target.wanted.tree, present, &options),
            None => Plan::default(),
        };
        self.effects = effects::of(&self.plan, &self.target.host)?;
        Ok(())
    }

    /// What the host has, unless that is what is wanted.
    fn present(&self) -> Option<&Tree> {
        self.seen.as_ref()?.present.as_ref()
    }

    /// What the host waits for after a change: nothing on this machine, which nobody can be cut off from.
    pub(super) fn confirmation(&self, source: &Source) -> Option<Confirmation> {
        source
            .confirmation
            .clone()
            .filter(|_| !self.receiver.is_local && !self.plan.is_empty())
    }

    pub(super) fn stage(
        &self,
        source: &Source,
        sent: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Failure> {
        if self.plan.is_empty() {
            return Ok(());
        }
        let confirmation = self.confirmation(source);
        let chain = self.chain(source);
        let nothing = Tree::default();
        let delivery = Delivery {
            plan: &self.plan,
            wanted: &self.target.wanted,
            present: self.present().unwrap_or(&nothing),
            chain: chain.as_ref(),
            confirmation: confirmation.as_ref(),
        };
        self.receiver.ask(|link| link.stage(&delivery, sent))
    }

    /// Applies what was staged, or writes down where the host is.
    pub(super) fn apply(&self, source: &Source) -> Result<(), Failure> {
        if !self.plan.is_empty() {
            return self.receiver.ask(Link::apply);
        }
        match self.chain(source).filter(|chain| self.lacks(chain)) {
            Some(chain) => {
                let wanted = &self.target.wanted.tree;
                self.receiver.ask(|link| link.record(&chain, wanted))
            }
            None => Ok(()),
        }
    }

    /// The commits that the host is told: none when only some of its pods are meant, because it is at no commit then.
    /// A clone without the older ones adds to those that the host knows.
    fn chain(&self, source: &Source) -> Option<CommitChain> {
        if source.only.pods(&self.target.host.name).is_some() {
            return None;
        }
        let known = self.seen.as_ref()?.chain.as_ref().ok();
        match known.filter(|_| source.is_shallow) {
            Some(known) => Some(extended(known, &source.chain)),
            None => Some(source.chain.clone()),
        }
    }

    /// True when the host is to be told of these commits.
    fn lacks(&self, chain: &CommitChain) -> bool {
        let Some(seen) = &self.seen else {
            return false;
        };
        let knows = seen
            .chain
            .as_ref()
            .is_ok_and(|known| known == chain.hashes());
        !knows || seen.reverted.is_some() || seen.drift.is_none()
    }
}

/// Confirms changes over connections of their own, and finds out what became of a host that does not take it.
pub(super) struct Confirming<'s> {
    pub(super) remotes: &'s Remotes,
    pub(super) environment: &'s Environment,
    pub(super) cluster: &'s ClusterId,
    pub(super) source: &'s Source,
    pub(super) options: &'s Options,
}

impl<'s> Confirming<'s> {
    /// What became of a host that waits for its confirmation, or may.
    pub(super) fn became(&self, target: &'s Target, confirmation: &Confirmation) -> Became {
        match self.confirm(&target.host, confirmation) {
            Ok(()) => Became::Updated,
            Err(Failure::Away(error)) => Became::Unknown(error),
            Err(Failure::No(error)) => self.truth(target, error),
        }
    }

    fn confirm(&self, host: &Host, confirmation: &Confirmation) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let receiver = Receiver::open(self.remotes, self.environment, host);
            let confirmed = receiver
                .and_then(|receiver| receiver.ask(|link| link.confirm(self.cluster, confirmation)));
            match confirmed {
                Err(Failure::Away(_)) if tries < CONFIRM_TRIES => self.remotes.forget_connections(),
                confirmed => return confirmed,
            }
        }
    }

    /// A host that waits for nothing may have been confirmed by a try whose answer was lost, have gone back, or never
    /// have changed: what it has tells.
    fn truth(&self, target: &'s Target, error: CommandError) -> Became {
        let looked = Party::open(self.remotes, self.environment, target).and_then(|mut party| {
            party.look(self.cluster)?;
            party.plan(self.source, self.options).map_err(Failure::No)?;
            Ok(party)
        });
        let Ok(party) = looked else {
            return Became::Unknown(error);
        };
        let seen = party.seen.as_ref();
        if seen.is_none_or(|seen| seen.unconfirmed.is_some()) {
            return Became::Unknown(error);
        }
        if party.plan.is_empty() {
            return Became::Updated;
        }
        match seen.is_some_and(|seen| seen.reverted.is_some()) {
            true => Became::WentBack(error),
            false => Became::Failed(error),
        }
    }
}
