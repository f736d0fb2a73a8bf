//! The far end: owns one host home while it has its lock.
//!
//! Says what is present, stages what is missing, and applies all of it or nothing. The order that makes a
//! crash harmless: everything new is written below `.sync/stage` and brought to disk; then the journal
//! appears, in one rename, which is the point of no return; then the journal's operations run, each of
//! which may run twice; then the journal goes. Must not know the project.

mod collect;
mod confirm;
mod contents;
mod digests;
mod effects;
mod incoming;
mod init;
mod journal;
mod layout;
mod lock;
mod owner;
mod places;
mod present;
mod reach;
mod serve;
mod settle;
mod stage;
mod staged;
mod undo;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hostfiles::{
    ClusterId, CommitChain, HostHome, ReadError, ReplaceError, read_if_present, replace, write,
};
use names::ReleaseId;

use crate::chain::{ChainRefusal, Relation, relate};
use crate::wire::Confirmation;
use crate::{Options, Plan, Tree, TreeError, plan};

pub use contents::{Content, Contents};
pub use effects::{Effect, EffectError, Gate};
pub use init::{InitError, Takeover, init};
pub use journal::JournalError;
pub use lock::{Holder, LockError};
pub use owner::OwnerError;
pub use present::present;
pub use reach::{Obstacle, ReachError};
pub use serve::{Hooks, serve};
pub use settle::{SettleError, Settled, settle};
pub use staged::Staged;

use digests::Digests;
use effects::{Effects, Unhindered};
use journal::{Journal, SyncDir};
use lock::Lock;

/// Why the far end could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum FarError {
    /// Someone else has the host home, or it cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It is somebody else's.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// A place in it cannot be changed. The former state is whole.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// Not a host home.
    #[error("{} is no host home: it has no cluster-id.txt; make it one with `sns host init`", .0.display())]
    NoHostHome(PathBuf),
    /// A file of the host home cannot be read.
    #[error("cannot read the state of the host home")]
    Read(#[from] ReadError),
    /// The host belongs to another cluster.
    #[error("{} belongs to cluster {found}, not to {expected}: correct HOST or HOSTHOME in host.env", home.display())]
    OtherCluster {
        /// The host home.
        home: PathBuf,
        /// The cluster it belongs to.
        found: ClusterId,
        /// The cluster of the project.
        expected: ClusterId,
    },
    /// The project is behind or branched.
    #[error(transparent)]
    Chain(#[from] ChainRefusal),
    /// Nobody knows what the host was synced from.
    #[error(
        "cannot tell which commits the host was synced from; to treat it as never synced, force the sync"
    )]
    UnknownCommits(#[source] ReadError),
    /// What is present cannot be listed.
    #[error("cannot list what is on the host")]
    Present(#[from] TreeError),
    /// The releases of the host cannot be listed.
    #[error("cannot list the releases in {}", path.display())]
    Releases {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// What is missing is not there.
    #[error("cannot get what the host lacks")]
    Content(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The plan was made for something else than what is wanted.
    #[error("the plan changes {0}, which is not part of what is wanted")]
    Misfit(ReleaseId),
    /// The host could not be changed. The former state is whole.
    #[error("the host was not changed")]
    Unchanged(#[source] EffectError),
    /// The commits could not be written down; there was nothing else to change.
    #[error("the host has what is wanted, but its commits could not be written down")]
    CommitChain(#[from] ReplaceError),
    /// The host could be changed only in part, and the journal says how to go on.
    #[error(
        "the host is changed in part, and stays unchanged for its daemon until the rest is done: correct the cause, then sync again"
    )]
    Unfinished(#[source] EffectError),
    /// A journal of an earlier sync cannot be finished.
    #[error("an earlier sync of this host could not be finished")]
    Journal(#[from] JournalError),
}

/// What became of an interrupted sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// There was none.
    Nothing,
    /// It had not come to the point of no return; the host is as before it.
    Undone,
    /// It had; the host is as the sync wanted it.
    Finished,
    /// A sync is at work now; here is who. Ask again when it is done.
    Busy(String),
    /// It was done and waited to be confirmed; the host is as before it.
    Reverted,
}

/// What is written down with a sync.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// The commits that the host is at afterwards; none for a sync of a part, which leaves it at those before.
    pub chain: Option<CommitChain>,
    /// What the host waits for before it gives up the way back; none if it gives it up at once.
    pub confirmation: Option<Confirmation>,
}

impl Marks {
    fn head(&self) -> Option<&str> {
        self.chain.as_ref()?.head()
    }
}

/// Why a host goes back when it finds a sync that waited and nobody who waits.
const INTERRUPTED: &str = "the host was interrupted before anybody confirmed it";

/// True while a sync has passed the point of no return and is not done: no new desired state may be taken
/// from the host home until [`recover`] says that it is finished. True also if that cannot be told.
#[must_use]
pub fn journal_open(home: &HostHome) -> bool {
    // Whoever may not look is no witness that there is none.
    !is_absent(&SyncDir::of(home).journal())
}

fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    })
}

/// Finishes or undoes what an interrupted sync left behind. Cheap when there is nothing; to be called before
/// any desired state is read.
///
/// # Errors
/// The host home cannot be locked or changed, or the journal is no journal.
pub fn recover(home: &HostHome) -> Result<Recovered, FarError> {
    recover_through(home, Box::new(Unhindered))
}

/// As [`recover`], with every effect passing a gate first: for tests of what a crash leaves behind.
///
/// # Errors
/// As [`recover`].
pub fn recover_through(home: &HostHome, gate: Box<dyn Gate>) -> Result<Recovered, FarError> {
    let directory = SyncDir::of(home);
    let is_clean = is_absent(&directory.journal()) && is_absent(&directory.stage());
    if is_clean && !confirm::is_unconfirmed(home) {
        return Ok(Recovered::Nothing);
    }
    match Lock::take(home, &Holder::recovering()) {
        Ok(_lock) => recover_locked(home, &mut Effects::new(gate)),
        Err(LockError::Held { holder, .. }) => Ok(Recovered::Busy(holder)),
        Err(error) => Err(error.into()),
    }
}

fn recover_locked(home: &HostHome, effects: &mut Effects) -> Result<Recovered, FarError> {
    let directory = SyncDir::of(home);
    let journal = Journal::read(home)?;
    if let Some(journal) = &journal {
        journal.run(home, effects).map_err(FarError::Unfinished)?;
    }
    if confirm::is_unconfirmed(home) {
        confirm::revert(home, effects, INTERRUPTED)?;
        return Ok(Recovered::Reverted);
    }
    if journal.is_some() {
        return Ok(Recovered::Finished);
    }
    if !is_absent(&directory.stage()) {
        effects
            .remove_tree(&directory.former())
            .and_then(|()| effects.remove_tree(&directory.stage()))
            .map_err(FarError::Unchanged)?;
        return Ok(Recovered::Undone);
    }
    Ok(Recovered::Nothing)
}

/// Refuses what is no host home of the cluster.
fn check_cluster(home: &HostHome, cluster: &ClusterId) -> Result<(), FarError> {
    match read_if_present::<ClusterId>(&home.cluster_id())? {
        None => Err(FarError::NoHostHome(home.path().to_owned())),
        Some(found) if found != *cluster => Err(FarError::OtherCluster {
            home: home.path().to_owned(),
            found,
            expected: cluster.clone(),
        }),
        Some(_) => Ok(()),
    }
}

/// One host home, locked. The lock ends with the value.
#[derive(Debug)]
pub struct Far {
    home: HostHome,
    effects: Effects,
    recovered: Recovered,
    lock: Lock,
}

impl Far {
    /// Locks a host home of the cluster, then finishes or undoes what an interrupted sync left there.
    ///
    /// # Errors
    /// It is no host home, of another cluster or user, someone else has the lock, or an earlier sync cannot
    /// be finished.
    pub fn open(home: HostHome, cluster: &ClusterId, holder: &Holder) -> Result<Self, FarError> {
        Self::open_through(home, cluster, holder, Box::new(Unhindered))
    }

    /// As [`Far::open`], with every effect passing a gate first: for tests of faults.
    ///
    /// # Errors
    /// As [`Far::open`].
    pub fn open_through(
        home: HostHome,
        cluster: &ClusterId,
        holder: &Holder,
        gate: Box<dyn Gate>,
    ) -> Result<Self, FarError> {
        owner::check(home.path())?;
        check_cluster(&home, cluster)?;
        let lock = Lock::take(&home, holder)?;
        let mut effects = Effects::new(gate);
        let recovered = recover_locked(&home, &mut effects)?;
        Ok(Self {
            home,
            effects,
            recovered,
            lock,
        })
    }

    /// What [`Far::open`] found of an interrupted sync.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The host home's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// Refuses a project that is behind or branched, unless `forced`. `chain` has the commits of the project,
    /// oldest first, all of them: the host may know none but an old one. Forced, a host whose commits cannot
    /// be read counts as fresh.
    ///
    /// # Errors
    /// The sync must not go on.
    pub fn check(&self, chain: &[String], forced: bool) -> Result<Relation, FarError> {
        let host = match self.commit_chain() {
            Ok(host) => host,
            Err(_) if forced => CommitChain::default(),
            Err(error) => return Err(error),
        };
        let relation = relate(chain, &host);
        relation.clone().allow(forced)?;
        Ok(relation)
    }

    /// The commits that the host was last synced from; empty if it never was.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn commit_chain(&self) -> Result<CommitChain, FarError> {
        let chain = read_if_present(&self.home.commit_chain());
        Ok(chain.map_err(FarError::UnknownCommits)?.unwrap_or_default())
    }

    /// What the host has.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn present(&self) -> Result<Tree, FarError> {
        let mut digests = Digests::read(&self.home);
        let present = present::present_through(&self.home, &mut digests)?;
        digests.write(&self.home);
        Ok(present)
    }

    /// What would have to happen for the host to have what is wanted.
    ///
    /// # Errors
    /// What the host has cannot be listed.
    pub fn plan(&self, wanted: &Tree, options: &Options) -> Result<Plan, FarError> {
        Ok(plan::plan(wanted, &self.present()?, options))
    }

    /// Writes everything new beside the host's files. Nothing changes until [`Staged::apply`]; a stage that
    /// is dropped is thrown away.
    ///
    /// # Errors
    /// The host is as before, also on a full disk; the error names the path.
    pub fn stage<'far>(
        &'far mut self,
        plan: &Plan,
        tree: &'far Tree,
        contents: &dyn Contents,
        marks: &'far Marks,
    ) -> Result<Staged<'far>, FarError> {
        staged::stage(self, plan, tree, contents, marks)
    }

    /// Writes down that the host is at these commits; it has what they want already.
    ///
    /// # Errors
    /// The file system said no.
    pub fn record(&mut self, chain: &CommitChain, tree: &Tree) -> Result<(), FarError> {
        let directory = SyncDir::of(&self.home);
        self.effects
            .remove(&directory.reverted())
            .map_err(FarError::Unchanged)?;
        replace(&directory.synced(), &tree.to_bytes(), 0o600)?;
        write(&self.home.commit_chain(), chain)?;
        Ok(())
    }
}
