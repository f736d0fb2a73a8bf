//! Holding the lock of the release: nothing is found or done in it before.

use std::io::{self, ErrorKind};
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use super::Hands;
use crate::lock::{Attempt, Holder, ReleaseLock, Role};
use crate::log::one_line;

/// A lock that cannot be taken, because the file system refuses, is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(2);

impl Hands {
    /// Takes the lock, if it is not held where others see it, and waits while somebody else has it. A
    /// release that is gone has none, and gets none: its directory should not come back for that.
    pub(crate) async fn hold(&self) {
        while !self.runner.hold.is_in_place() && self.is_there() {
            match self.take_lock().await {
                Ok(lock) => self.runner.hold.keep(lock),
                Err(error) if error.kind() == ErrorKind::NotFound => return,
                Err(error) => {
                    let lock = self.release().lock();
                    self.around.log.warn(format_args!(
                        "{}: cannot take the lock {}: {}",
                        self.id(),
                        lock.display(),
                        one_line(&error)
                    ));
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
        }
    }

    /// True while there is something to drive.
    fn is_there(&self) -> bool {
        let release = self.release();
        release.pod().exists() || release.state().exists() || release.run_dir().exists()
    }

    async fn take_lock(&self) -> io::Result<ReleaseLock> {
        let role = self.around.role;
        match ReleaseLock::try_take(self.release(), role)? {
            Attempt::Taken(lock) => return Ok(lock),
            Attempt::Held(holder) => {
                self.around.log.info(format_args!(
                    "{}: waits for {}",
                    self.id(),
                    describe(holder.as_ref())
                ));
                if let Some(keep) = holder.filter(|_| role == Role::Daemon) {
                    self.ask_to_hand_over(&keep);
                }
            }
        }
        ReleaseLock::take(self.release(), role).await
    }

    /// A process that drives the release alone makes room for the daemon, and leaves the units as they
    /// are. The signal goes through a descriptor, so that it can reach no other process.
    fn ask_to_hand_over(&self, holder: &Holder) {
        if holder.role != Role::Keep {
            return;
        }
        let asked = match holder.process.open() {
            Ok(None) => return,
            Ok(Some(keep)) => pidfd_send_signal(keep, Signal::TERM).map_err(io::Error::from),
            Err(error) => Err(error),
        };
        if let Err(error) = asked {
            self.around.log.warn(format_args!(
                "{}: process {} cannot be asked to hand the release over: {error}",
                self.id(),
                holder.process.pid
            ));
        }
    }
}

fn describe(holder: Option<&Holder>) -> String {
    match holder {
        None => "the end of a step that a driver before has begun".to_owned(),
        Some(Holder { process, role, .. }) => {
            let name = match role {
                Role::Daemon => "another daemon",
                Role::Keep => "the resident driver of `./pod run`",
            };
            format!("{name} (pid {}), which drives it", process.pid)
        }
    }
}
