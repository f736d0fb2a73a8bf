//! The connections of a running proxy as rows of a table, and as JSON lines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::table::Slot;

/// How many connections are listed: those that have moved most.
pub(crate) const LISTED_MAX: usize = 1000;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Another proxy has not said yet what it wants.
    Asked,
    Dialling,
    Queued,
    Joined,
    /// One side has said all, or has left.
    Closing,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Dialling => "dialling",
            Self::Queued => "queued",
            Self::Joined => "joined",
            Self::Closing => "closing",
        }
    }
}

/// One connection as it is seen from outside.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) client: SocketAddr,
    /// 0 until another proxy has said it.
    pub(crate) cluster_port: u16,
    /// The host port of a backend of this host, or another proxy.
    pub(crate) backend: Option<SocketAddr>,
    pub(crate) pod: Option<Arc<str>>,
    pub(crate) age: Duration,
    /// Bytes from the client, and to it.
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// How many of these went through a pipe.
    pub(crate) spliced: u64,
    /// Bytes go through a pipe now.
    pub(crate) zero_copy: bool,
    pub(crate) state: State,
}

impl Row {
    /// How much it has moved both ways.
    pub(crate) fn bytes(&self) -> u64 {
        self.up.saturating_add(self.down)
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "client": self.client,
            "cluster_port": self.cluster_port,
            "backend": self.backend,
            "pod": self.pod.as_deref(),
            "age_seconds": self.age.as_secs_f64(),
            "up_bytes": self.up,
            "down_bytes": self.down,
            "spliced_bytes": self.spliced,
            "zero_copy": self.zero_copy,
            "state": self.state.name(),
        })
    }
}

/// What a worker, or all of them, say.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Those that have moved most, [`LISTED_MAX`] at most.
    pub(crate) rows: Vec<Row>,
    /// How many there are.
    pub(crate) found: usize,
}

impl Part {
    /// One connection a line, most bytes first, and a last line that says how many there are and how many of them
    /// were left out.
    pub(crate) fn to_lines(&self) -> String {
        let mut lines = String::new();
        for row in &self.rows {
            lines.push_str(&row.to_json().to_string());
            lines.push('\n');
        }
        let left_out = self.found.saturating_sub(self.rows.len());
        let last = json!({ "connections": self.found, "left_out": left_out });
        lines.push_str(&last.to_string());
        lines.push('\n');
        lines
    }
}

/// The pod behind a backend, where that is known.
pub(crate) fn pod_of(slot: &Slot) -> Option<Arc<str>> {
    slot.pod.clone()
}
