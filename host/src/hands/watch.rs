//! Waiting for the end of a unit: on a descriptor of its shim, without looking again and again.

use std::time::Duration;

use names::UnitName;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use super::Hands;
use crate::driver::End;
use crate::process::ProcessId;
use crate::scan::read_pod;
use crate::shim::{RunFiles, RunRecord};

/// The pause between two looks at a process that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A shim usually ends within so long after its unit.
const SHIM_MAX: Duration = Duration::from_millis(200);

impl Hands {
    /// The shim ends last: when it has, the end of the unit is on record.
    pub(super) async fn watch_end(self, unit: UnitName, start_count: u32) -> End {
        let files = RunFiles::of(self.release(), &unit);
        let record = read_record(&files)
            .await
            .filter(|record| record.start_count == start_count);
        let mut pipes = None;
        if let Some(record) = &record {
            pipes = Some(self.pipes(record, &unit));
            self.wait_for_both(&unit, record).await;
        }
        self.set_running(&unit, None);
        let exit = files
            .read_exit()
            .filter(|exit| exit.start_count == start_count);
        let end = match exit {
            Some(exit) => End {
                code: exit.code,
                is_elsewhere: self.is_elsewhere(exit.code),
                why: match exit.reason {
                    None if exit.code != Some(0) => {
                        let record = record.as_ref().filter(|record| record.detached);
                        let since_s = record.map(|record| record.started_ms / 1_000);
                        self.port_taken_from(&unit, since_s).await
                    }
                    reason => reason,
                },
            },
            None => {
                if let Some(record) = &record {
                    self.end_orphans(&unit, record).await;
                }
                End::default()
            }
        };
        // Its shim may have been killed, or have had no more time for it.
        if let Some(pipes) = pipes {
            pipes.save().await;
        }
        let how = end.code.map_or_else(
            || "ended unseen".to_owned(),
            |code| format!("ended with {code}"),
        );
        let why = end
            .why
            .iter()
            .map(|why| format!(" ({why})"))
            .collect::<String>();
        self.note_beside(format!("{unit} {how}{why}")).await;
        end
    }

    /// Waits for the process of the unit, and then for its shim. While what watches over a detached unit makes
    /// that wait, no route leads to the unit any more.
    async fn wait_for_both(&self, unit: &UnitName, record: &RunRecord) {
        tokio::select! {
            () = wait_for_end(record.process) => {}
            () = wait_for_end(record.shim) => return,
        }
        let shim = wait_for_end(record.shim);
        if timeout(SHIM_MAX, shim).await.is_ok() {
            return;
        }
        self.set_running(unit, None);
        if self.exposes(unit) {
            self.truth.set_lingering(unit, true);
            self.routes.set(self.id().clone(), Vec::new()).await;
        }
        wait_for_end(record.shim).await;
        self.truth.set_lingering(unit, false);
    }

    fn exposes(&self, unit: &UnitName) -> bool {
        let spec = read_pod(self.id(), &self.release().run_dir().join("pod"));
        spec.is_ok_and(|spec| spec.unit(unit).is_some_and(|unit| !unit.expose.is_empty()))
    }
}

/// A record that cannot be read now does not mean that the unit has ended.
async fn read_record(files: &RunFiles) -> Option<RunRecord> {
    loop {
        match files.try_read_run() {
            Ok(record) => return record,
            Err(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

/// Waits on a descriptor of the process. While there is none to be had, it looks again and again: only a
/// process that is seen to be gone has ended.
pub(crate) async fn wait_for_end(process: ProcessId) {
    loop {
        match process.open() {
            Ok(None) => return,
            Ok(Some(descriptor)) => {
                #[expect(
                    deprecated,
                    reason = "unsound only for types that may change their descriptor; an OwnedFd never does"
                )]
                let watched = AsyncFd::with_interest(descriptor, Interest::READABLE);
                if let Ok(watched) = watched {
                    let _ = watched.readable().await;
                }
            }
            Err(_) => {}
        }
        if !process.is_alive() {
            return;
        }
        sleep(LOOK_AGAIN).await;
    }
}
