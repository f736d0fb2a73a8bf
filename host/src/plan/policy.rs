//! The restart policies: when a unit that has ended is started again, if ever.

use podspec::{Restart, Unit};

use crate::life::{EndReason, Nudge, StopReason};

const BACK_OFF_FIRST_MS: u64 = 1_000;
const BACK_OFF_MAX_MS: u64 = 60_000;

/// How long the start after so many failures in a row waits: not at all after the first, then one
/// second, doubling up to one minute.
#[must_use]
pub fn back_off_ms(failures: u32) -> u64 {
    match failures {
        0 | 1 => 0,
        more => BACK_OFF_FIRST_MS
            .saturating_mul(1 << (more - 2).min(16))
            .min(BACK_OFF_MAX_MS),
    }
}

/// True when a unit that has ended is started once more because of a change that it should take notice of.
#[must_use]
pub fn hears_when_ended(unit: &Unit) -> bool {
    matches!(unit.restart, Restart::OnConfig | Restart::OnInterval { .. })
}

/// How a unit ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) at: u64,
    pub(super) code: Option<i32>,
    pub(super) reason: EndReason,
    pub(super) failures: u32,
    pub(super) nudge: Option<Nudge>,
}

/// When the unit should be started again; none when it should stay as it is.
///
/// An end that nobody saw counts as a failure, and so does one that a failed probe brought about.
pub(super) fn next_start(unit: &Unit, end: End) -> Option<u64> {
    let failed = end.code != Some(0);
    let backed_off = end.at.saturating_add(back_off_ms(end.failures));
    match end.reason {
        // Stopped with its pod, which should run again; or stopped only to be started again.
        EndReason::Asked(StopReason::Pod | StopReason::Restart) => return Some(end.at),
        EndReason::Asked(StopReason::Unhealthy) => {
            return (unit.restart != Restart::Never).then_some(backed_off);
        }
        EndReason::Own => {}
    }
    match unit.restart {
        Restart::Always => Some(backed_off),
        Restart::Never => None,
        Restart::OnFailure => failed.then_some(backed_off),
        _ if hears_when_ended(unit) && end.nudge.is_some() => Some(end.at),
        Restart::OnConfig => failed.then_some(backed_off),
        Restart::OnInterval { .. } if failed => Some(backed_off),
        Restart::OnInterval { seconds } => Some(end.at.saturating_add(u64::from(seconds) * 1_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_up_to_a_minute() {
        let waits: Vec<u64> = (0..12).map(back_off_ms).collect();
        assert_eq!(
            waits,
            [
                0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000
            ]
        );
        assert_eq!(back_off_ms(u32::MAX), BACK_OFF_MAX_MS);
    }
}
