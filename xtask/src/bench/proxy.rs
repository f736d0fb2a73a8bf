//! The cluster proxy: beside its peers, and while everything around it changes or fails.
//!
//! A file for each topic; the targets are those of the design, and a row that misses its target says so.

mod backends;
mod banner;
mod beside;
mod changes;
mod comparison;
mod held;
pub(super) mod helper;
mod idle;
mod inside;
mod layout;
mod load;
mod ours;
mod peers;
mod rival;
mod sample;
mod server;
mod upgrade;

use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::table::Row;
use crate::ui;

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Topic {
    /// Memory and processor time with nothing to do
    Idle,
    /// Answers, connections and streams beside HAProxy and nginx
    Loads,
    /// Connections into a network of a pod
    Inside,
    /// Clients that ask beside 5 000 that do nothing
    Beside,
    /// A server that speaks first
    Banner,
    /// Changes of configuration
    Changes,
    /// New binaries
    Upgrade,
    /// Backends that are stopped or killed
    Backends,
}

impl Topic {
    fn measure(self, programs: &Path) -> Result<Vec<Row>> {
        match self {
            Self::Idle => idle::measure(programs),
            Self::Loads => comparison::measure(programs),
            Self::Inside => inside::measure(programs),
            Self::Beside => beside::measure(programs),
            Self::Banner => banner::measure(programs),
            Self::Changes => changes::measure(programs),
            Self::Upgrade => upgrade::measure(programs),
            Self::Backends => backends::measure(programs),
        }
    }
}

/// Measures these topics, or all.
pub(super) fn measure(programs: &Path, wanted: &[Topic]) -> Result<Vec<Row>> {
    // Thousands of clients are in this process.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let mut rows = Vec::new();
    for topic in <Topic as clap::ValueEnum>::value_variants() {
        if wanted.is_empty() || wanted.contains(topic) {
            ui::say(&format!("bench: the cluster proxy, {topic:?}"));
            let measured = topic.measure(programs);
            rows.extend(measured.with_context(|| format!("the topic {topic:?}"))?);
        }
    }
    Ok(rows)
}
