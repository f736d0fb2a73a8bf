//! Holding the lock of the release: nothing is found or done in it before.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use super::Hands;
use crate::lock::{Attempt, Holder, ReleaseLock, Role};
use crate::log::one_line;

/// A lock that cannot be taken, because the file system refuses, is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// Nothing tells that another has got the lock: it is looked after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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

    /// As [`Self::hold`], but gives up as soon as somebody else drives the release: false then. Two that
    /// queue behind a step of a driver that is gone cannot see each other; one of them gets the lock.
    pub(crate) async fn hold_alone(&self) -> bool {
        tokio::select! {
            biased;
            () = self.hold() => true,
            () = self.until_driven() => false,
        }
    }

    async fn until_driven(&self) {
        while !self.is_driven_by_another() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// True when another process drives the release.
    pub(crate) fn is_driven_by_another(&self) -> bool {
        let me = std::process::id();
        ReleaseLock::holder(self.release()).is_some_and(|holder| holder.process.pid != me)
    }

    async fn take_lock(&self) -> io::Result<ReleaseLock> {
        let role = self.around.role;
        let mut holder = match ReleaseLock::try_take(self.release(), role)? {
            Attempt::Taken(lock) => return Ok(lock),
            Attempt::Held(holder) => holder,
        };
        let mut lock = pin!(ReleaseLock::take(self.release(), role));
        loop {
            self.make_way(holder.as_ref());
            // Whoever gets it before this one does may have queued for it too.
            let next = tokio::select! {
                biased;
                taken = &mut lock => return taken,
                next = self.next_holder(&holder) => next,
            };
            holder = next;
        }
    }

    /// Who has the lock when it is not that one any more.
    async fn next_holder(&self, former: &Option<Holder>) -> Option<Holder> {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let holder = ReleaseLock::holder(self.release());
            if holder != *former {
                return holder;
            }
        }
    }

    /// Says who has the lock, and asks for it where it would be given.
    fn make_way(&self, holder: Option<&Holder>) {
        let who = describe(holder);
        self.around
            .log
            .info(format_args!("{}: waits for {who}", self.id()));
        if let Some(keep) = holder.filter(|_| self.around.role == Role::Daemon) {
            self.ask_to_hand_over(keep);
        }
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
