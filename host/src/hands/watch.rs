//! Waiting for the end of a unit: on a descriptor of its shim, without looking again and again.

use std::time::Duration;

use names::UnitName;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::Hands;
use crate::driver::End;
use crate::process::ProcessId;
use crate::shim::{RunFiles, RunRecord};

/// The pause between two looks at a process that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Hands {
    /// The shim ends last: when it has, the end of the unit is on record.
    pub(super) async fn watch_end(self, unit: UnitName, start_count: u32) -> End {
        let files = RunFiles::of(self.release(), &unit);
        let record = read_record(&files)
            .await
            .filter(|record| record.start_count == start_count);
        if let Some(record) = &record {
            wait_for_end(record.shim).await;
        }
        self.set_running(&unit, None);
        let exit = files
            .read_exit()
            .filter(|exit| exit.start_count == start_count);
        let end = match exit {
            Some(exit) => End {
                code: Some(exit.code),
                why: exit.reason,
            },
            None => {
                if let Some(record) = &record {
                    self.end_orphans(&unit, record).await;
                }
                End::default()
            }
        };
        let how = end.code.map_or_else(
            || "ended unseen".to_owned(),
            |code| format!("ended with {code}"),
        );
        let why = end
            .why
            .iter()
            .map(|why| format!(" ({why})"))
            .collect::<String>();
        self.around
            .log
            .info(format_args!("{}: {unit} {how}{why}", self.id()));
        end
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
async fn wait_for_end(process: ProcessId) {
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
