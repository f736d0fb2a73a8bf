//! What is so of a foreign pod: what is wanted, what its program says, which verb was tried last.
//!
//! Pure: events change it, and `plan` reads it. It knows no file and no process but by number.

use std::collections::BTreeSet;
use std::fmt;

use hostfiles::PodVerb;
use names::{PodState, VolumeName};
use serde::{Deserialize, Serialize};

use super::status::{Look, Seen};
use crate::plan::back_off_ms;

/// A pod that was up for so long has begun well: what came before counts no longer.
const PROVEN_MS: u64 = 60_000;
/// A program that refuses so often to hear of a config is not told again.
const TELLS_MAX: u32 = 3;

/// One verb and the words behind it, without the address that the driver adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The verb.
    pub(super) verb: PodVerb,
    /// Its words.
    pub(super) words: Vec<String>,
    /// Why.
    pub(super) cause: Cause,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb.as_str())?;
        self.words.iter().try_for_each(|word| write!(f, " {word}"))
    }
}

/// A verb that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    /// Which.
    pub(super) call: Call,
    /// A line for people.
    pub(super) why: String,
}

/// Why a verb is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// `pod.state` asks for it.
    Wanted,
    /// A person has asked for it, through `pod.action`.
    Asked,
    /// Configs have changed.
    Configs,
}

/// The last verb that was called for the sake of `pod.state`. It is remembered over restarts of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Last {
    /// `run`, `stop` or `rm`.
    pub(super) verb: PodVerb,
    /// True when it succeeded.
    pub(super) done: bool,
}

/// What is known of one foreign pod.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    /// What `pod.state` says; none when nothing does.
    pub(super) wanted: Option<PodState>,
    /// True when no verb can be called: the program is gone or not executable.
    pub(super) is_blocked: bool,
    /// What could not be read of the release, or called.
    pub(super) problem: Option<String>,
    /// What the program says of itself.
    pub(super) seen: Seen,
    /// The verb that failed, until one succeeds or something else is wanted.
    pub(super) failed: Option<Failed>,
    /// The verb that is under way.
    pub(super) busy: Option<Call>,
    /// What was done for `pod.state`.
    pub(super) last: Option<Last>,
    /// When that ended, in milliseconds since the Unix epoch; none when an earlier daemon did it.
    pub(super) ended_ms: Option<u64>,
    /// The status as it was when that began.
    pub(super) before: Seen,
    /// How often something was tried that did not last, one after the other.
    pub(super) failures: u32,
    /// Nothing is tried for `pod.state` before.
    pub(super) not_before_ms: u64,
    /// What a person has asked for and is not done yet.
    pub(super) asked: Option<Call>,
    /// Configs of which the program does not know yet that they have changed.
    pub(super) changed: BTreeSet<VolumeName>,
    /// How often it refused to hear of them.
    pub(super) tells: u32,
    /// It is not told of them again before.
    pub(super) tell_not_before_ms: u64,
    /// Since when it is up.
    pub(super) up_since_ms: Option<u64>,
}

impl Life {
    /// Something else may be wanted now: what failed before is no reason to wait.
    pub(super) fn want(&mut self, wanted: Option<PodState>) {
        if self.wanted != wanted {
            self.wanted = wanted;
            self.failed = None;
            self.calm();
        }
    }

    /// The program says this of itself now.
    pub(super) fn see(&mut self, seen: Seen, now: u64) {
        let is_up = seen.look == Look::Up;
        if !is_up
            && self
                .up_since_ms
                .is_some_and(|since| now >= since + PROVEN_MS)
        {
            self.calm();
        }
        self.up_since_ms = is_up.then(|| self.up_since_ms.unwrap_or(now));
        self.seen = seen;
    }

    fn calm(&mut self) {
        (self.failures, self.not_before_ms) = (0, 0);
    }

    /// True when the program has removed what it made.
    #[must_use]
    pub(super) fn is_removed(&self) -> bool {
        let verb = PodVerb::Rm;
        self.busy.is_none() && self.last == Some(Last { verb, done: true })
    }

    /// True while a request could begin at once.
    #[must_use]
    pub(super) fn takes_requests(&self) -> bool {
        self.busy.is_none() && !self.is_blocked && self.asked.is_none()
    }

    /// These configs have changed.
    pub(super) fn configs_changed(&mut self, changed: impl IntoIterator<Item = VolumeName>) {
        let before = self.changed.len();
        self.changed.extend(changed);
        if self.changed.len() > before {
            (self.tells, self.tell_not_before_ms) = (0, 0);
        }
    }

    /// A verb begins.
    pub(super) fn begin(&mut self, call: Call) {
        match call.cause {
            Cause::Wanted => {
                self.last = Some(Last {
                    verb: call.verb,
                    done: false,
                });
                self.before = self.seen.clone();
            }
            Cause::Asked => self.asked = None,
            Cause::Configs => {}
        }
        if matches!(call.verb, PodVerb::Run | PodVerb::Rerun) {
            // What begins now reads its configs as they are.
            self.changed.clear();
        }
        self.busy = Some(call);
    }

    /// The verb that was under way has ended.
    pub(super) fn end(&mut self, ended: Result<(), String>, now: u64) {
        let Some(call) = self.busy.take() else { return };
        let succeeded = ended.is_ok();
        self.failed = ended.err().map(|why| Failed {
            call: call.clone(),
            why,
        });
        match call.cause {
            Cause::Wanted => {
                if let Some(last) = &mut self.last {
                    last.done = succeeded;
                }
                self.wait(now);
            }
            // The pod may be half removed: it is run again.
            Cause::Asked if call.verb == PodVerb::Rerun && !succeeded => {
                self.last = None;
                self.wait(now);
            }
            Cause::Asked => {}
            Cause::Configs => self.told(&call, succeeded, now),
        }
    }

    fn wait(&mut self, now: u64) {
        self.ended_ms = Some(now);
        self.failures = self.failures.saturating_add(1);
        self.not_before_ms = now.saturating_add(back_off_ms(self.failures));
    }

    fn told(&mut self, call: &Call, succeeded: bool, now: u64) {
        self.tells = self.tells.saturating_add(1);
        self.tell_not_before_ms = now.saturating_add(back_off_ms(self.tells));
        if succeeded || self.tells >= TELLS_MAX {
            self.changed
                .retain(|name| !call.words.iter().any(|word| word == name.as_str()));
            (self.tells, self.tell_not_before_ms) = (0, 0);
        }
    }
}
