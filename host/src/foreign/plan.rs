//! Which verb a foreign pod needs now, if any, and when to look again. Pure.
//!
//! What the program says of itself counts, as long as it says something: a pod that is as it is wanted
//! needs no verb, also after a restart of the daemon. One that ends by itself or by hand stays so until
//! `pod.state` changes; one whose process is gone although nobody ended it is run again.

use hostfiles::PodVerb;
use names::PodState;

use super::life::{Call, Cause, Last, Life};
use super::status::Look;

/// After a verb has succeeded the program has so long to say that something has changed.
const SETTLE_MS: u64 = 10_000;

/// What should happen now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The verb to begin.
    pub(super) call: Option<Call>,
    /// When to plan again, in milliseconds since the Unix epoch.
    pub(super) wake_at: Option<u64>,
}

/// Which verb should begin now, if none is under way and one can be called.
#[must_use]
pub(super) fn plan(life: &Life, now: u64) -> Plan {
    if life.busy.is_some() || life.is_blocked {
        return Plan {
            call: None,
            wake_at: fresh_until(life, now),
        };
    }
    if let Some(asked) = &life.asked {
        return Plan {
            call: Some(asked.clone()),
            wake_at: None,
        };
    }
    let due = [due(life), tell(life)];
    let is_due = |(at, _): &&(u64, Call)| *at <= now;
    Plan {
        call: due
            .iter()
            .flatten()
            .find(is_due)
            .map(|(_, call)| call.clone()),
        wake_at: due
            .iter()
            .flatten()
            .map(|(at, _)| *at)
            .chain(fresh_until(life, now))
            .min(),
    }
}

/// True when cluster ports may lead to the pod now.
#[must_use]
pub(super) fn is_routed(life: &Life, now: u64) -> bool {
    let goes_down = life.busy.as_ref().is_some_and(|call| takes_down(call.verb));
    life.wanted == Some(PodState::Running) && !goes_down && life.seen.is_ready(now)
}

/// True for the verbs that end what traffic goes to.
#[must_use]
pub(super) fn takes_down(verb: PodVerb) -> bool {
    matches!(
        verb,
        PodVerb::Stop | PodVerb::Kill | PodVerb::Rm | PodVerb::Rerun | PodVerb::Purge
    )
}

/// The moment at which what the program says is too old to lead traffic to it.
fn fresh_until(life: &Life, now: u64) -> Option<u64> {
    life.seen.ready_until_ms.filter(|until| *until > now)
}

/// The verb that `pod.state` asks for, and when it may begin.
pub(super) fn due(life: &Life) -> Option<(u64, Call)> {
    let wanted = life.wanted?;
    let verb = verb_for(wanted);
    if is_so(life, wanted) {
        return None;
    }
    let is_done = life.last == Some(Last { verb, done: true });
    let is_lost = wanted == PodState::Running && life.seen.look == Look::Lost;
    let has_said_nothing = life.seen.stamp.is_some()
        && life.seen.stamp == life.before.stamp
        && life.seen.look == life.before.look;
    let at = match life.ended_ms {
        _ if !is_done => 0,
        Some(ended) if has_said_nothing => ended.saturating_add(SETTLE_MS),
        _ if is_lost => 0,
        _ => return None,
    };
    let call = Call {
        verb,
        words: Vec::new(),
        cause: Cause::Wanted,
    };
    Some((at.max(life.not_before_ms), call))
}

/// The verb that brings a pod into this state.
pub(super) fn verb_for(wanted: PodState) -> PodVerb {
    match wanted {
        PodState::Running => PodVerb::Run,
        PodState::Stopped => PodVerb::Stop,
        PodState::Removed => PodVerb::Rm,
    }
}

/// True when the pod is as it is wanted, as far as its program says. One that says nothing is as the last
/// verb should have left it.
fn is_so(life: &Life, wanted: PodState) -> bool {
    let last = life.last.map(|last| last.verb);
    match (wanted, life.seen.look) {
        (PodState::Running, look) => look == Look::Up,
        (PodState::Stopped, Look::Exited | Look::Removed) | (PodState::Removed, Look::Removed) => {
            true
        }
        (PodState::Stopped, Look::Nothing) => last != Some(PodVerb::Run),
        (PodState::Removed, Look::Nothing) => last.is_none(),
        (PodState::Stopped | PodState::Removed, _) => false,
    }
}

/// The verb that tells the program of changed configs.
fn tell(life: &Life) -> Option<(u64, Call)> {
    let is_up = life.wanted == Some(PodState::Running) && life.seen.look == Look::Up;
    if life.changed.is_empty() || !is_up {
        return None;
    }
    let call = Call {
        verb: PodVerb::ReloadConfigs,
        words: life.changed.iter().map(ToString::to_string).collect(),
        cause: Cause::Configs,
    };
    Some((life.tell_not_before_ms, call))
}
