//! Waiting for the end of a unit: on a descriptor of its shim, without looking again and again.

use names::UnitName;
use rustix::process::{Signal, kill_process_group};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Hands;
use crate::driver::End;
use crate::process::ProcessId;
use crate::shim::RunFiles;

impl Hands {
    /// The shim ends last: when it has, the end of the unit is on record.
    pub(super) async fn watch_end(self, unit: UnitName, start_count: u32) -> End {
        let files = RunFiles::of(self.release(), &unit);
        let record = files
            .read_run()
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
                // The shim was killed. The kernel ends the unit's process with it, but not its children.
                if let Some(group) = record.and_then(|record| record.process.as_pid()) {
                    let _ = kill_process_group(group, Signal::KILL);
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

async fn wait_for_end(process: ProcessId) {
    let Ok(Some(descriptor)) = process.open() else {
        return;
    };
    #[expect(
        deprecated,
        reason = "unsound only for types that may change their descriptor; an OwnedFd never does"
    )]
    let watched = AsyncFd::with_interest(descriptor, Interest::READABLE);
    // A descriptor that cannot be waited on counts as an end; the records tell the truth then.
    if let Ok(watched) = watched {
        let _ = watched.readable().await;
    }
}
