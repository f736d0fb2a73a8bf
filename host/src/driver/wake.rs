//! Everything that can wake a driver, on one screen.

use names::UnitName;
use tokio::time::sleep_until;

use super::Driver;
use super::world::{Asked, Deed, End, World};
use crate::decrypt::Marks;
use crate::life::{ProbeError, ProbeKind, Trouble};

/// A status that says nothing new is written again after so long: readers take an older one for dead.
pub(super) const TELL_AGAIN_MS: u64 = 60_000;
/// A status that could not be written, for a full disk perhaps, is tried again after so long.
pub(super) const TRY_AGAIN_MS: u64 = 2_000;
/// A status that somebody else has written or taken away is looked at after so long: whoever takes the
/// whole directory away should not find a new file in it.
pub(super) const LOOK_AFTER_MS: u64 = 1_000;

/// Why a driver looks at its release again.
#[derive(Debug, Clone, PartialEq)]
pub enum Wake {
    /// The directory of the release has changed.
    Desired,
    /// Plugins, grants or the host's address have changed.
    Surroundings,
    /// The operation that was under way has ended.
    OperationDone(Result<Deed, Trouble>),
    /// It has ended without a result, because of a mistake in this program.
    OperationLost,
    /// The operation that is under way has something to say.
    Line,
    /// A look has brought something.
    Seen,
    /// Encrypted configs were opened, or could not be; none when the pod was removed meanwhile.
    Revealed(Option<Box<Result<Marks, String>>>),
    /// They could not be opened a while ago.
    RevealAgain,
    /// There may be a request by hand.
    Action,
    /// It was looked for one, and this is what there was.
    Asked(Option<Box<Asked>>),
    /// A probe has ended.
    ProbeDone {
        /// The unit.
        unit: UnitName,
        /// What was asked.
        kind: ProbeKind,
        /// The start that it belongs to.
        start_count: u32,
        /// What it brought.
        outcome: Result<(), ProbeError>,
    },
    /// The process of a unit has ended.
    Ended {
        /// The unit.
        unit: UnitName,
        /// The start that it belongs to.
        start_count: u32,
        /// How.
        end: End,
    },
    /// Somebody has written the status file, perhaps the driver itself.
    Look,
    /// The time has come that the plan named, or the status is due again.
    Timer,
    /// The daemon ends.
    Shutdown,
}

impl<W: World> Driver<W> {
    /// Waits for whatever comes first. What is lost when it is not taken is asked first.
    pub(super) async fn next_wake(&mut self, wake_at: Option<u64>) -> Wake {
        let beat = self.clock.now_ms().saturating_add(TELL_AGAIN_MS);
        let tell_at = self.doubt.map_or(beat, |doubt| doubt.min(beat));
        let timer = sleep_until(
            self.clock
                .instant(wake_at.map_or(tell_at, |at| at.min(tell_at))),
        );
        let orders = &mut self.orders;
        tokio::select! {
            biased;
            changed = orders.shutdown.changed() => {
                // The sender is gone only when the daemon is.
                if changed.is_err() || *orders.shutdown.borrow_and_update() { Wake::Shutdown } else { Wake::Timer }
            }
            Some(wake) = self.inbox.recv() => wake,
            Ok(()) = orders.desired.changed() => Wake::Desired,
            Ok(()) = orders.surroundings.changed() => {
                orders.surroundings.mark_unchanged();
                Wake::Surroundings
            }
            () = orders.action.notified() => Wake::Action,
            () = orders.look.notified() => Wake::Look,
            Ok(()) = self.lines.changed() => Wake::Line,
            Ok(()) = self.seen.changed() => Wake::Seen,
            () = timer => Wake::Timer,
        }
    }
}
