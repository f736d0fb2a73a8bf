//! When the pods of one kind are looked at next, and which of them. Pure; times are arguments, in
//! milliseconds.

use std::collections::BTreeSet;

use names::ReleaseId;

use crate::plan::back_off_ms;

/// Changes that come together are looked at together.
const SETTLE_MS: u64 = 200;
/// Between two looks.
const SPACING_MS: u64 = 1_000;
/// A kind that wants to look is given a look at least so often: looks are for truth, exits are noticed
/// without them.
const EVERY_MS: u64 = 60_000;

/// Whom a look is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// All pods of the kind.
    All,
    /// These.
    Only(BTreeSet<ReleaseId>),
}

/// What is to be looked at.
#[derive(Debug)]
pub(super) struct Agenda {
    changed: BTreeSet<ReleaseId>,
    /// Since when something has changed that was not looked at.
    since: Option<u64>,
    everything: bool,
    /// True when the plugin wants to look at something. One that does not is only asked about pods
    /// that have changed, and costs nothing otherwise.
    wants_looks: bool,
    ended: Option<u64>,
    failures: u32,
}

impl Default for Agenda {
    fn default() -> Self {
        Self {
            changed: BTreeSet::new(),
            since: None,
            everything: true,
            wants_looks: false,
            ended: None,
            failures: 0,
        }
    }
}

impl Agenda {
    /// Something has happened to these pods.
    pub(super) fn changed(&mut self, pods: BTreeSet<ReleaseId>, now: u64) {
        if !pods.is_empty() {
            self.changed.extend(pods);
            self.since.get_or_insert(now);
        }
    }

    /// The plugin is another one.
    pub(super) fn replaced(&mut self, now: u64) {
        *self = Self {
            ended: self.ended,
            since: Some(now),
            ..Self::default()
        };
    }

    /// When to look next, if somebody else wants it at `also`; none when there is nothing to look at.
    #[must_use]
    pub(super) fn due(&self, also: Option<u64>) -> Option<u64> {
        let change = self.since.map(|since| since.saturating_add(SETTLE_MS));
        let again = self
            .ended
            .filter(|_| self.wants_looks)
            .map(|ended| ended.saturating_add(EVERY_MS));
        let wanted = change.into_iter().chain(again).chain(also).min()?;
        let pause = SPACING_MS.max(back_off_ms(self.failures.saturating_add(1)));
        let rested = self.ended.map_or(0, |ended| ended.saturating_add(pause));
        Some(wanted.max(rested))
    }

    /// A look begins; it is about these.
    pub(super) fn begin(&mut self) -> Scope {
        self.since = None;
        let changed = std::mem::take(&mut self.changed);
        if std::mem::take(&mut self.everything) || self.wants_looks {
            Scope::All
        } else {
            Scope::Only(changed)
        }
    }

    /// The look has ended. One that failed, or was the first of its kind for some pods only, is followed
    /// by one at all.
    pub(super) fn ended(&mut self, scope: &Scope, wants_looks: bool, succeeded: bool, now: u64) {
        let is_partial = wants_looks && *scope != Scope::All;
        self.wants_looks = wants_looks;
        self.ended = Some(now);
        self.failures = if succeeded {
            0
        } else {
            self.failures.saturating_add(1)
        };
        if is_partial || !succeeded {
            self.everything = true;
            self.since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(ids: &[&str]) -> BTreeSet<ReleaseId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn a_kind_that_looks_at_nothing_is_asked_about_changes_only() {
        let mut agenda = Agenda::default();
        assert_eq!(agenda.due(None), None, "there is no pod yet");
        agenda.changed(pods(&["a:1.0.0", "b:1.0.0"]), 1_000);
        agenda.changed(pods(&["c:1.0.0"]), 1_100);
        assert_eq!(agenda.due(None), Some(1_000 + SETTLE_MS));
        let all = agenda.begin();
        assert_eq!(all, Scope::All);
        agenda.ended(&all, false, true, 2_000);
        assert_eq!(agenda.due(None), None);
        assert_eq!(agenda.due(Some(5)), Some(2_000 + SPACING_MS));
        agenda.changed(pods(&["b:1.0.0"]), 2_001);
        assert_eq!(agenda.due(None), Some(2_000 + SPACING_MS));
        assert_eq!(agenda.begin(), Scope::Only(pods(&["b:1.0.0"])));
    }

    #[test]
    fn a_kind_that_looks_is_asked_about_all_once_a_minute() {
        let mut agenda = Agenda::default();
        agenda.changed(pods(&["a:1.0.0"]), 0);
        let all = agenda.begin();
        agenda.ended(&all, false, true, 100);
        agenda.changed(pods(&["b:1.0.0"]), 200);
        let some = agenda.begin();
        assert!(matches!(some, Scope::Only(_)));
        agenda.ended(&some, true, true, 300);
        assert_eq!(
            agenda.due(None),
            Some(300 + SPACING_MS),
            "now all are looked at"
        );
        let all = agenda.begin();
        assert_eq!(all, Scope::All);
        agenda.ended(&all, true, true, 2_000);
        assert_eq!(agenda.due(None), Some(2_000 + EVERY_MS));
        agenda.changed(pods(&["b:1.0.0"]), 30_000);
        assert_eq!(agenda.due(None), Some(30_000 + SETTLE_MS));
        assert_eq!(agenda.begin(), Scope::All);
    }

    #[test]
    fn a_look_that_fails_is_repeated_later_each_time() {
        let mut agenda = Agenda::default();
        agenda.changed(pods(&["a:1.0.0"]), 0);
        let mut pauses = Vec::new();
        let mut now = 0;
        for _ in 0..8 {
            let all = agenda.begin();
            assert_eq!(all, Scope::All);
            agenda.ended(&all, true, false, now);
            agenda.changed(pods(&["a:1.0.0"]), now);
            let due = agenda.due(None).unwrap();
            pauses.push((due - now) / 1_000);
            now = due;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        agenda.replaced(now);
        assert_eq!(agenda.due(None), Some(now + SETTLE_MS), "another plugin");
    }
}
