//! Why a foreign pod is not as it is wanted, in one line for people, and what they can do. Pure.

use std::time::Duration;

use names::PodState;

use super::life::{Cause, Life};
use super::plan::{due, verb_for};
use super::status::{FRESH_S, Look};
use crate::plan::back_off_ms;

/// A line is cut after so many characters.
const LINE_CHARS: usize = 400;

/// What is wrong now; none when all is well.
#[must_use]
pub(super) fn explain(life: &Life, now: u64, verb_max: Duration) -> Option<String> {
    let status = life.seen.problem.as_ref().map(|problem| {
        format!(
            "its .pod.status cannot be understood, and the program has to write it anew: {problem}"
        )
    });
    let lines: Vec<String> = [
        life.problem.clone(),
        failure(life),
        under_way(life, verb_max),
        status.or_else(|| contradiction(life, now)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let line: String = lines.join("; ").chars().take(LINE_CHARS).collect();
    (!line.is_empty()).then_some(line)
}

/// The verb that failed last.
fn failure(life: &Life) -> Option<String> {
    let failed = life.failed.as_ref()?;
    let what = format!("`{}` failed: {}", failed.call, failed.why);
    Some(match failed.call.cause {
        Cause::Asked => format!("{what} (asked by hand)"),
        Cause::Configs => what,
        // What has come to be as it is wanted in another way is no failure any more.
        Cause::Wanted if due(life).is_none() => return None,
        Cause::Wanted => {
            let seconds = back_off_ms(life.failures) / 1_000;
            format!(
                "{what}; tries: {}, the next one after {seconds} s; its logs say more",
                life.failures
            )
        }
    })
}

fn under_way(life: &Life, verb_max: Duration) -> Option<String> {
    let call = life.busy.as_ref()?;
    let seconds = verb_max.as_secs();
    Some(format!(
        "`{call}` is under way, and is ended after {seconds} s"
    ))
}

/// What the program says, although its verb has succeeded.
fn contradiction(life: &Life, now: u64) -> Option<String> {
    let wanted = life.wanted?;
    let verb = verb_for(wanted);
    let last = life.last.filter(|last| last.done && last.verb == verb);
    if life.busy.is_some() || last.is_none() {
        return None;
    }
    let seen = &life.seen;
    let line = match (wanted, seen.look) {
        (PodState::Running, Look::Up) if seen.ready_until_ms.is_some() => {
            if seen.is_ready(now) {
                return None;
            }
            format!(
                "its .pod.status is older than {FRESH_S} s: it gets no traffic until the program writes it anew"
            )
        }
        (PodState::Running, Look::Up) if seen.process.is_none() => {
            "its .pod.status names no `pid`, so it gets no traffic".to_owned()
        }
        (PodState::Running, Look::Nothing) => {
            "the program has written no .pod.status, so it gets no traffic".to_owned()
        }
        (PodState::Running, Look::Lost) => "its process has ended".to_owned(),
        (PodState::Running, Look::Exited | Look::Removed) if due(life).is_none() => {
            "it has ended by itself or by hand, and stays so until pod.state changes or it is rerun"
                .to_owned()
        }
        (PodState::Stopped | PodState::Removed, Look::Up) => {
            format!("`{verb}` has succeeded, and its .pod.status says that it is up")
        }
        _ => return None,
    };
    Some(line)
}
