//! Whether the project may be synced to a host, judged by the commits of both.
//!
//! Pure. The chains are lists of commit hashes, oldest first; the host's is the one that was written by
//! the last sync and may have lost its oldest commits.

use hostfiles::CommitChain;

/// How the project stands to what a host was last synced from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// The host was never synced.
    Fresh,
    /// Both are at the same commit.
    Equal,
    /// The project has this many commits more: the normal case.
    Ahead(usize),
    /// The host has this many commits that the project lacks: a sync would take them back.
    Behind(usize),
    /// Each has commits that the other lacks. Holds the last commit that both have, if there is one.
    Branched(Option<String>),
}

/// The sync is refused unless it is forced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainRefusal {
    /// Someone synced from a newer project.
    #[error(
        "the host is {} ahead of this project: pull first, or force the sync to take back what it lacks",
        commits(*.0)
    )]
    Behind(usize),
    /// Someone synced from another branch.
    #[error("the host was synced from a project that branched off at {}: merge or rebase first, or force the sync to drop what this project lacks", .0.as_deref().unwrap_or("an unknown commit"))]
    Branched(Option<String>),
}

fn commits(count: usize) -> String {
    match count {
        1 => "1 commit".to_owned(),
        count => format!("{count} commits"),
    }
}

impl Relation {
    /// Lets the sync go on, or says why not.
    ///
    /// # Errors
    /// The project is behind the host or branched, and the sync is not forced.
    pub fn allow(self, forced: bool) -> Result<(), ChainRefusal> {
        match self {
            Self::Behind(commits) if !forced => Err(ChainRefusal::Behind(commits)),
            Self::Branched(common) if !forced => Err(ChainRefusal::Branched(common)),
            _ => Ok(()),
        }
    }
}

/// Fewest characters of a short hash that can stand for a commit: what git prints at least.
const SHORT_HASH_CHARS_MIN: usize = 7;

/// Compares the commits of the project with those of a host.
///
/// A chain may have been cut at its beginning, so what counts is whether the last commit of the one is
/// in the other: a commit stands for all before it.
#[must_use]
pub fn relate(ours: &[String], host: &CommitChain) -> Relation {
    let theirs = host.hashes();
    let Some(their_head) = theirs.last() else {
        return Relation::Fresh;
    };
    let known = ours.iter().rposition(|commit| is_same(commit, their_head));
    let unknown = ours
        .last()
        .and_then(|head| theirs.iter().rposition(|commit| is_same(commit, head)));
    let after = |chain: &[String], position: usize| chain.len() - 1 - position;
    match (
        known.map(|at| after(ours, at)),
        unknown.map(|at| after(theirs, at)),
    ) {
        (Some(0), _) => Relation::Equal,
        (Some(more), None) => Relation::Ahead(more),
        (None, Some(more)) => Relation::Behind(more),
        _ => Relation::Branched(last_common(ours, theirs)),
    }
}

/// The commits of a host, followed by those that a project has beyond them: what a host is told by a project whose
/// own history was cut off. Where they have nothing in common, those of the project.
#[must_use]
pub fn extended(host: &[String], ours: &CommitChain) -> CommitChain {
    let common = ours
        .hashes()
        .iter()
        .position(|commit| host.last().is_some_and(|last| is_same(commit, last)));
    let Some(at) = common else {
        return ours.clone();
    };
    let beyond = ours.hashes().iter().skip(at + 1);
    CommitChain::new(host.iter().chain(beyond).cloned()).unwrap_or_else(|_| ours.clone())
}

fn last_common(ours: &[String], theirs: &[String]) -> Option<String> {
    ours.iter()
        .rev()
        .find(|ours| theirs.iter().any(|theirs| is_same(ours, theirs)))
        .cloned()
}

/// The original wrote short hashes, so one may be the beginning of the other.
fn is_same(one: &str, other: &str) -> bool {
    let shorter = one.len().min(other.len());
    shorter >= SHORT_HASH_CHARS_MIN && (one.starts_with(other) || other.starts_with(one))
}
