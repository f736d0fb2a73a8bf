//! The tick: an operation that the plugin asks for, for a moment that it names (renewal, schedules).

use super::Trouble;
use crate::plan::back_off_ms;

/// Between two ticks of a release, however often its plugin wants one.
const PAUSE_MS: u64 = 1_000;

/// What is known of the ticks of one release. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tick {
    /// When the plugin wants the next one.
    at: Option<u64>,
    /// What the one that is under way was wanted for.
    begun: Option<u64>,
    not_before: u64,
    failures: u32,
    /// Why the last one failed.
    trouble: Option<Trouble>,
}

impl Tick {
    /// The plugin wants one at this moment, in place of any that it wanted before.
    pub fn want(&mut self, at: u64) {
        self.at = Some(at);
    }

    /// When the next one should begin; none when none is wanted, or when it would fail again.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        let is_held = self.trouble.as_ref().is_some_and(|trouble| trouble.held);
        let at = self.at.filter(|_| !is_held);
        at.map(|at| at.max(self.not_before))
    }

    /// What is wanted, for the next daemon: one that is under way may never end.
    #[must_use]
    pub fn wanted(&self) -> Option<u64> {
        self.at.or(self.begun)
    }

    /// Why the last one failed, and when it is tried again, if ever before something changes.
    #[must_use]
    pub fn trouble(&self) -> Option<(&str, Option<u64>)> {
        let trouble = self.trouble.as_ref()?;
        Some((&trouble.message, self.due()))
    }

    pub(super) fn begin(&mut self) {
        self.begun = self.at.take();
    }

    pub(super) fn done(&mut self, outcome: Result<(), Trouble>, now: u64) {
        let begun = self.begun.take();
        self.trouble = outcome.err();
        if self.trouble.is_some() {
            self.failures = self.failures.saturating_add(1);
            self.at = self.at.or(begun);
            let rest = back_off_ms(self.failures.saturating_add(1));
            self.not_before = now.saturating_add(rest);
        } else {
            self.failures = 0;
            self.not_before = now.saturating_add(PAUSE_MS);
        }
    }

    /// Something has changed: what would have failed again may be tried.
    pub(super) fn release_hold(&mut self) {
        if let Some(trouble) = self.trouble.as_mut().filter(|trouble| trouble.held) {
            trouble.held = false;
            self.not_before = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(held: bool) -> Result<(), Trouble> {
        let message = "no".to_owned();
        Err(Trouble { message, held })
    }

    #[test]
    fn a_tick_is_wanted_once_and_never_twice_in_a_second() {
        let mut tick = Tick::default();
        assert_eq!(tick.due(), None);
        tick.want(100);
        assert_eq!((tick.due(), tick.wanted()), (Some(100), Some(100)));
        tick.begin();
        assert_eq!((tick.due(), tick.wanted()), (None, Some(100)));
        tick.done(Ok(()), 150);
        assert_eq!((tick.due(), tick.wanted()), (None, None));
        tick.want(100);
        assert_eq!(tick.due(), Some(150 + PAUSE_MS));
    }

    #[test]
    fn one_that_failed_is_repeated_later_each_time_or_when_something_changes() {
        let mut tick = Tick::default();
        tick.want(0);
        let mut rests = Vec::new();
        for _ in 0..4 {
            tick.begin();
            tick.done(failed(false), 10);
            rests.push(tick.due().unwrap() - 10);
        }
        assert_eq!(rests, [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(tick.trouble(), Some(("no", Some(8_010))));
        tick.begin();
        tick.done(failed(true), 10);
        assert_eq!((tick.due(), tick.trouble()), (None, Some(("no", None))));
        tick.release_hold();
        assert_eq!(tick.due(), Some(0));
        tick.begin();
        tick.done(Ok(()), 20);
        assert_eq!(tick.trouble(), None);
    }
}
