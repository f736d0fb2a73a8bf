//! The pipes that a unit writes its output into. Its shim reads them; the daemon keeps them open as well,
//! so that what lies in them is not lost when the shim is killed.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, open};

use super::Hands;
use crate::shim::{RunRecord, log_file, pump};

/// A pipe holds no more, unless somebody who may has raised what it may hold.
const PIPE_BYTES_MAX: u64 = 1 << 20;

/// The read ends of both streams, as far as they could be opened.
pub(super) struct Pipes(Vec<(File, PathBuf)>);

impl Hands {
    /// Opens the pipes of a unit whose shim lives.
    pub(super) fn pipes(&self, record: &RunRecord, unit: &names::UnitName) -> Pipes {
        let numbers = record.streams.into_iter().flatten();
        let opened = numbers
            .zip(["stdout", "stderr"])
            .filter_map(|(number, stream)| {
                let path = format!("/proc/{}/fd/{number}", record.shim.pid);
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let pipe = File::from(open(path, flags, Mode::empty()).ok()?);
                Some((pipe, log_file(self.release(), self.id(), unit, stream)))
            });
        let opened = opened.collect();
        // Its number may have been somebody else's already.
        Pipes(if record.shim.is_alive() {
            opened
        } else {
            Vec::new()
        })
    }
}

impl Pipes {
    /// Writes what the shim has not read. Only for a unit that has ended, and without a living shim.
    pub(super) async fn save(self) {
        let saved = tokio::task::spawn_blocking(move || {
            for (pipe, path) in self.0 {
                // What is left of the unit may go on writing.
                pump(pipe.take(PIPE_BYTES_MAX), &path, None);
            }
        });
        // Output that could not be written is no reason for anything else.
        let _ = saved.await;
    }
}
