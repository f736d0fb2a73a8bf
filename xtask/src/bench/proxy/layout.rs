//! Who runs on which core.

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Who runs where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Everything on two cores: what a user of a small server gets.
    Shared,
    /// The proxy alone on one core, the load and the servers on the other: what the proxy costs.
    Pinned,
}

/// The core of the load and the servers, and that of the proxy.
const CORES: [usize; 2] = [0, 1];

impl Layout {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Shared => "",
            Self::Pinned => "pinned",
        }
    }

    /// How many threads or workers suit a peer.
    pub(super) fn threads(self) -> usize {
        match self {
            Self::Shared => 2,
            Self::Pinned => 1,
        }
    }

    /// Does something where the load is.
    pub(super) fn loading<T>(self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.on(CORES[0], work)
    }

    /// Starts something where the proxy is.
    pub(super) fn proxying<T>(self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.on(CORES[1], work)
    }

    /// Whatever this thread starts meanwhile stays on that core.
    fn on<T>(self, core: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self == Self::Shared {
            return work();
        }
        let before = sched_getaffinity(None).context("cannot see on which cores this runs")?;
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only).context(
            "cannot stay on one core: two are needed to keep the proxy apart from its load",
        )?;
        let done = work();
        sched_setaffinity(None, &before).context("cannot leave that core")?;
        done
    }
}
