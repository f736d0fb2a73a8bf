//! What is said about a release: whether it is settled, whether it is ready, and in one line why not.

use names::PodState;
use podspec::{CompiledPod, Unit};

use super::policy::{End, next_start};
use crate::life::{EndReason, Life, Phase, StopReason, UnitLife};

/// A message is about so long at most, however many units are ill, …
const MESSAGE_CHARS: usize = 200;
/// … but each of them is told with at least so much.
const UNIT_CHARS_MIN: usize = 40;

/// True when a release that should run does: every unit has started, or has ended and may stay so.
#[must_use]
pub fn is_settled(spec: &CompiledPod, life: &Life) -> bool {
    life.wanted == PodState::Running
        && spec
            .units
            .iter()
            .zip(&life.units)
            .all(|(unit, truth)| match truth.phase {
                Phase::Up { passed, .. } => passed,
                Phase::Exited { .. } => truth.started && rests(unit, truth),
                Phase::Absent | Phase::Starting | Phase::Stopping { .. } => false,
            })
}

/// True when a release may get traffic: it is settled, no unit has failed for good, every unit that exposes a
/// port or has a readiness probe runs, and those probes succeed.
#[must_use]
pub fn is_ready(spec: &CompiledPod, life: &Life) -> bool {
    is_settled(spec, life)
        && spec.units.iter().zip(&life.units).all(|(unit, truth)| {
            let is_up = matches!(truth.phase, Phase::Up { .. });
            let serves = unit.readiness_probe.is_some()
                || unit.expose.iter().any(|port| port.host_port.is_some());
            let has_failed = matches!(truth.phase, Phase::Exited { code, .. } if code != Some(0));
            (is_up || !serves) && !has_failed && (truth.ready || unit.readiness_probe.is_none())
        })
}

/// Why the release is not what it should be, in one line; none when all is well.
#[must_use]
pub fn explain(spec: &CompiledPod, life: &Life, now: u64) -> Option<String> {
    if let Some((trouble, again)) = &life.remove_trouble {
        return Some(format!(
            "{}; tried again in {}",
            trouble.message,
            seconds(*again, now)
        ));
    }
    if life.wanted != PodState::Running {
        return stopping(spec, life, now);
    }
    let lines: Vec<String> = spec
        .units
        .iter()
        .zip(&life.units)
        .filter_map(|(unit, truth)| of_unit(unit, truth, now))
        .chain(of_tick(life, now))
        .collect();
    if lines.is_empty() && !is_settled(spec, life) {
        return under_way(spec, life, now);
    }
    let share = (MESSAGE_CHARS / lines.len().max(1)).max(UNIT_CHARS_MIN);
    let cut: Vec<String> = lines.iter().map(|line| cut(line, share)).collect();
    (!cut.is_empty()).then(|| cut.join("; "))
}

/// The unit that a release waits for which should not run: units end one after the other, the last first.
fn stopping(spec: &CompiledPod, life: &Life, now: u64) -> Option<String> {
    let pairs = spec.units.iter().zip(&life.units);
    let (unit, truth) = pairs.rev().find(|(_, truth)| !truth.is_gone())?;
    let name = &unit.name;
    Some(match truth.phase {
        Phase::Stopping {
            killed: Some(_), ..
        } => format!("stopping: unit {name} did not end when asked and was killed"),
        Phase::Stopping { since, .. } => {
            let due = since.saturating_add(u64::from(unit.stop_grace_seconds) * 1_000);
            format!("stopping: unit {name} has {} to end", seconds(due, now))
        }
        Phase::Starting => format!("stopping: unit {name} is still being started"),
        Phase::Up { .. } | Phase::Absent | Phase::Exited { .. } => {
            format!("stopping: unit {name} still runs")
        }
    })
}

/// What a release waits for in which nothing has failed: units start one after the other, the first first.
fn under_way(spec: &CompiledPod, life: &Life, now: u64) -> Option<String> {
    let pairs = spec.units.iter().zip(&life.units);
    let (unit, truth) = pairs
        .filter(|(unit, truth)| !rests(unit, truth))
        .find(|(_, truth)| !matches!(truth.phase, Phase::Up { passed: true, .. }))?;
    let name = &unit.name;
    Some(match truth.phase {
        Phase::Starting => format!("unit {name} is being started"),
        Phase::Up { .. } => {
            let startup = unit.startup_probe.as_ref();
            let limit = startup.map_or(0, |probe| u64::from(probe.timeout_seconds) * 1_000);
            let left = seconds(truth.startup_from.saturating_add(limit), now);
            format!("unit {name} has {left} to pass its startup probe")
        }
        Phase::Stopping { since, .. } => {
            let due = since.saturating_add(u64::from(unit.stop_grace_seconds) * 1_000);
            format!(
                "unit {name} is started again and has {} to end",
                seconds(due, now)
            )
        }
        Phase::Absent | Phase::Exited { .. } => format!("unit {name} is started next"),
    })
}

/// A line with at most so many characters.
fn cut(line: &str, chars_max: usize) -> String {
    if line.chars().count() <= chars_max {
        return line.to_owned();
    }
    let head: String = line.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{head}…")
}

fn of_unit(unit: &Unit, truth: &UnitLife, now: u64) -> Option<String> {
    let name = &unit.name;
    let trouble = truth.trouble.as_deref();
    match truth.phase {
        Phase::Absent if truth.held => Some(format!(
            "{name} is not started until its pod or plugin changes: {}",
            trouble.unwrap_or("refused")
        )),
        Phase::Absent => trouble.map(|why| {
            format!(
                "{name} could not start: {why}; tried again in {}",
                seconds(truth.not_before, now)
            )
        }),
        Phase::Exited { code, reason, .. } => {
            let end = ending(truth, code, reason);
            match restart_at(unit, truth) {
                Some(due) if due > now => Some(format!(
                    "{name} {end}; started again in {}",
                    seconds(due, now)
                )),
                None if !truth.started => Some(format!(
                    "{name} {end} and its restart policy is {}: the units after it wait",
                    unit.restart
                )),
                None if code != Some(0) => Some(format!("{name} {end}")),
                Some(_) | None => None,
            }
        }
        Phase::Up { .. } => {
            if let Some(failed) = &truth.failed_nudge {
                return Some(format!(
                    "{name} could not be told of a change: {}; tried again in {}",
                    failed.message,
                    seconds(failed.not_before, now)
                ));
            }
            trouble.map(|why| format!("{name}: {why}"))
        }
        Phase::Stopping {
            killed: Some(_), ..
        } => Some(format!("{name} did not end when asked and was killed")),
        Phase::Starting | Phase::Stopping { .. } => None,
    }
}

fn of_tick(life: &Life, now: u64) -> Option<String> {
    let (why, again) = life.tick.trouble()?;
    Some(match again {
        Some(due) => format!(
            "its tick failed: {why}; tried again in {}",
            seconds(due, now)
        ),
        None => format!("its tick is not repeated until its pod or plugin changes: {why}"),
    })
}

fn ending(truth: &UnitLife, code: Option<i32>, reason: EndReason) -> String {
    let why = truth
        .trouble
        .as_ref()
        .map(|why| format!(" ({why})"))
        .unwrap_or_default();
    match (reason, code) {
        (EndReason::Asked(StopReason::Unhealthy), _) => format!("did not pass its probe{why}"),
        (_, Some(code)) => format!("exited with {code}{why}"),
        (_, None) => "ended unseen".to_owned(),
    }
}

/// True when the unit has ended without ever having started well, and is not started again.
#[must_use]
pub fn is_stuck(unit: &Unit, truth: &UnitLife) -> bool {
    matches!(truth.phase, Phase::Exited { .. })
        && !truth.started
        && restart_at(unit, truth).is_none()
}

fn rests(unit: &Unit, truth: &UnitLife) -> bool {
    match truth.phase {
        Phase::Exited {
            code: Some(0),
            reason: EndReason::Own,
            ..
        } => unit.restart != podspec::Restart::Always,
        Phase::Exited { .. } => restart_at(unit, truth).is_none(),
        Phase::Absent | Phase::Starting | Phase::Up { .. } | Phase::Stopping { .. } => false,
    }
}

fn restart_at(unit: &Unit, truth: &UnitLife) -> Option<u64> {
    let Phase::Exited { at, code, reason } = truth.phase else {
        return None;
    };
    let end = End {
        at,
        code,
        reason,
        failures: truth.failures,
        nudge: truth.nudge,
    };
    next_start(unit, end).map(|due| due.max(truth.not_before))
}

fn seconds(due: u64, now: u64) -> String {
    format!("{} s", due.saturating_sub(now).div_ceil(1_000))
}
