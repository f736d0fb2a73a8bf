//! What is known of one unit.

use names::UnitName;
use serde::{Deserialize, Serialize};

use super::Trouble;
use crate::plan::back_off_ms;

/// Where a unit is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of it exists.
    Absent,
    /// Its start is under way; nothing is known of a process yet.
    Starting,
    /// It runs.
    Up {
        /// Since when.
        since: u64,
        /// True when its startup probe has passed, or it has none.
        passed: bool,
    },
    /// It was asked to end.
    Stopping {
        /// Since when.
        since: u64,
        /// When it was last killed.
        killed: Option<u64>,
        /// Why it should end.
        reason: StopReason,
    },
    /// It has ended.
    Exited {
        /// When.
        at: u64,
        /// Its exit status, 128 + signal number; none when nobody saw it.
        code: Option<i32>,
        /// Who wanted it.
        reason: EndReason,
    },
}

/// Why a running unit is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopReason {
    /// The release should not run any more.
    Pod,
    /// It must see a changed config and has no signal for that, or a person wants it started again.
    Restart,
    /// It did not start in time, or its liveness probe failed.
    Unhealthy,
}

/// Who wanted the end of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// It ended by itself.
    Own,
    /// The daemon asked it to.
    Asked(StopReason),
}

/// Something that a unit should take notice of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Nudge {
    /// Another unit has started and names this one, or a person asked.
    Signal,
    /// A config that it mounts has changed.
    Config,
}

/// A unit could not be made to take notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedNudge {
    /// Why, for people.
    pub message: String,
    /// How often in a row.
    pub failures: u32,
    /// When it is tried again.
    pub not_before: u64,
}

/// What a probe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Has it started?
    Startup,
    /// May it get traffic?
    Readiness,
    /// Does it live?
    Liveness,
}

impl ProbeKind {
    /// The word in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// What is known of one unit.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitLife {
    /// Its name.
    pub name: UnitName,
    /// Where it is in its life.
    pub phase: Phase,
    /// How often it was started. Results that belong to an earlier start are told apart by it.
    pub start_count: u32,
    /// How many of the starts were before its pod was last wanted to run: they are not told.
    pub counted_from: u32,
    /// Starts and runs that ended early, one after the other; the back-off grows with them.
    pub failures: u32,
    /// True when it has passed its startup once since the release was last down: the units after it may start.
    pub started: bool,
    /// What it should take notice of and has not yet.
    pub nudge: Option<Nudge>,
    /// That it could not be made to, when it was last tried in this run.
    pub failed_nudge: Option<FailedNudge>,
    /// True when it should be started once more, whatever its restart policy says.
    pub cycle: bool,
    /// Since when it may take its time to start: since its start, or since a daemon has taken it over that
    /// has not seen what it did before.
    pub startup_from: u64,
    /// True when its readiness probe last succeeded in this run.
    pub ready: bool,
    /// True when its liveness probe failed in this run.
    pub unhealthy: bool,
    /// True when it runs although its start was not finished: it is ended, and the start repeated.
    pub incomplete: bool,
    /// The probe that is under way.
    pub probe: Option<ProbeKind>,
    /// When a probe of a kind last ended in this run: startup, readiness, liveness.
    pub probed: [Option<u64>; 3],
    /// Probes in a row that could not be run in this run: the next one is later each time.
    pub not_asked: u32,
    /// The earliest moment of the next start, after a start that failed.
    pub not_before: u64,
    /// Why its last operation or probe failed, for people.
    pub trouble: Option<String>,
    /// True when trying again brings nothing before something changes: plugin, grants or pod.
    pub held: bool,
}

impl UnitLife {
    /// A unit of which nothing exists yet.
    #[must_use]
    pub fn new(name: UnitName) -> Self {
        Self {
            name,
            phase: Phase::Absent,
            start_count: 0,
            counted_from: 0,
            failures: 0,
            started: false,
            nudge: None,
            failed_nudge: None,
            cycle: false,
            startup_from: 0,
            ready: false,
            unhealthy: false,
            incomplete: false,
            probe: None,
            probed: [None; 3],
            not_asked: 0,
            not_before: 0,
            trouble: None,
            held: false,
        }
    }

    /// True when no process of it runs or is about to.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Absent | Phase::Exited { .. })
    }

    /// When a probe of this kind last ended in this run.
    #[must_use]
    pub fn probed(&self, kind: ProbeKind) -> Option<u64> {
        let [startup, readiness, liveness] = self.probed;
        match kind {
            ProbeKind::Startup => startup,
            ProbeKind::Readiness => readiness,
            ProbeKind::Liveness => liveness,
        }
    }

    /// Forgets what belonged to the run that ended or begins.
    pub(crate) fn forget_run(&mut self) {
        self.failed_nudge = None;
        self.ready = false;
        self.unhealthy = false;
        self.incomplete = false;
        self.probe = None;
        self.probed = [None; 3];
        self.not_asked = 0;
    }

    /// A signal that failed is repeated: the unit would go on with what is out of date.
    pub(super) fn nudged(&mut self, nudge: Nudge, outcome: Result<(), Trouble>, now: u64) {
        let failures = self
            .failed_nudge
            .take()
            .map_or(0, |failed| failed.failures)
            .saturating_add(1);
        if let Err(trouble) = outcome {
            self.nudge = self.nudge.max(Some(nudge));
            self.failed_nudge = Some(FailedNudge {
                message: trouble.message,
                failures,
                not_before: now.saturating_add(back_off_ms(failures.saturating_add(1))),
            });
        }
    }

    /// It is killed, perhaps without having been asked before.
    pub(super) fn killed(&mut self, now: u64) {
        match &mut self.phase {
            Phase::Stopping { killed, .. } => *killed = Some(now),
            Phase::Up { .. } => {
                self.ready = false;
                self.phase = Phase::Stopping {
                    since: now,
                    killed: Some(now),
                    reason: StopReason::Pod,
                };
            }
            Phase::Absent | Phase::Starting | Phase::Exited { .. } => {}
        }
    }

    /// Its start has failed, and nothing of it is left. Such a start is never repeated at once, other than
    /// that of a unit that ran and has ended.
    pub(super) fn start_failed(&mut self, now: u64) {
        self.phase = Phase::Absent;
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(back_off_ms(self.failures.saturating_add(1)));
    }

    /// Makes it a unit that was never started, except that starts go on being numbered.
    pub(super) fn reset(&mut self) {
        let start_count = self.start_count;
        *self = Self {
            start_count,
            counted_from: start_count,
            ..Self::new(self.name.clone())
        };
    }
}
