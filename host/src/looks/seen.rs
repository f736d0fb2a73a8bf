//! What a look brought, pod by pod: from the plugin's report to what the driver of one release is told.
//! Pure. What shims know of a unit counts; a plugin adds to it and never takes anything away.

use std::collections::BTreeMap;

use names::UnitName;
use simplenetes_plugin::{Report, UnitTruth};

/// A message of a plugin is about so long at most.
const MESSAGE_CHARS: usize = 200;

/// What a look brought for one release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// When the look began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// Exit statuses that the shims do not know, with the start that they belong to.
    pub exits: BTreeMap<UnitName, (u32, i32)>,
    /// When the plugin wants to be asked for `tick`, in milliseconds since the Unix epoch.
    pub wake_at_ms: Option<u64>,
    /// What the plugin wants to be kept.
    pub kept: Option<Kept>,
    /// What the plugin says to people.
    pub message: Option<String>,
    /// Why the plugin could not be asked.
    pub trouble: Option<String>,
}

/// State that a plugin wants to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it was shown: if that is not what is kept any more, what it wants is out of date.
    pub before: Vec<u8>,
    /// What it wants to be kept instead.
    pub after: Vec<u8>,
}

impl Seen {
    /// True when whoever knows `other` has to be told.
    #[must_use]
    pub(super) fn is_news_to(&self, other: &Self) -> bool {
        // What is to be done is said again as long as the plugin says so.
        self.wake_at_ms.is_some()
            || Self {
                began_ms: other.began_ms,
                ..self.clone()
            } != *other
    }
}

/// What the shims of a release know of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownUnit {
    /// What the plugin is shown.
    pub truth: UnitTruth,
    /// Which start has ended, when one has.
    pub start_count: u32,
}

/// What the report says of the pod `id`.
#[must_use]
pub(super) fn read(
    id: &str,
    report: &Report,
    state: &[u8],
    units: &[KnownUnit],
    began_ms: u64,
) -> Seen {
    let mut lines: Vec<String> = report
        .messages
        .iter()
        .filter(|(pod, _)| pod == id)
        .map(|(_, text)| one_line(text))
        .filter(|line| !line.is_empty())
        .collect();
    let mut exits = BTreeMap::new();
    for unit in report.units.iter().filter(|unit| unit.pod == id) {
        let Some(known) = units.iter().find(|known| known.truth.unit == unit.unit) else {
            continue;
        };
        let truth = &known.truth;
        match (truth.running, unit.state.as_str()) {
            (true, "exited" | "absent") => lines.push(format!(
                "its plugin says that {} is {}, but its process {} runs",
                unit.unit,
                unit.state,
                truth.pid.unwrap_or_default()
            )),
            (false, "running") => lines.push(format!(
                "its plugin says that {} runs, but nobody here has started it",
                unit.unit
            )),
            (false, "exited") if truth.exit.is_none() && truth.ended_ms.is_some() => {
                let learned = unit.unit.parse::<UnitName>().ok().zip(unit.exit);
                exits.extend(learned.map(|(name, code)| (name, (known.start_count, code))));
            }
            _ => {}
        }
    }
    let kept = report.state.get(id).filter(|after| *after != state);
    Seen {
        began_ms,
        exits,
        wake_at_ms: report.wake_at_ms.get(id).copied(),
        kept: kept.map(|after| Kept {
            before: state.to_vec(),
            after: after.clone(),
        }),
        message: (!lines.is_empty()).then(|| cut(&lines.join("; "))),
        trouble: None,
    }
}

/// Plugins may say anything: a status has one line for it.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MESSAGE_CHARS {
        return text.to_owned();
    }
    let head: String = text.chars().take(MESSAGE_CHARS - 1).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use simplenetes_plugin::UnitReport;

    use super::*;

    const ID: &str = "web:1.0.0";

    fn known(running: bool, exit: Option<i32>, ended_ms: Option<u64>) -> KnownUnit {
        KnownUnit {
            truth: UnitTruth {
                unit: "main".into(),
                pid: running.then_some(42),
                running,
                exit,
                ended_ms,
            },
            start_count: 3,
        }
    }

    fn unit(pod: &str, state: &str, exit: Option<i32>) -> UnitReport {
        UnitReport {
            pod: pod.into(),
            unit: "main".into(),
            state: state.into(),
            pid: None,
            exit,
        }
    }

    fn seen(unit: UnitReport, known: &KnownUnit) -> Seen {
        let report = Report {
            units: vec![unit],
            ..Report::default()
        };
        read(ID, &report, b"", std::slice::from_ref(known), 0)
    }

    #[test]
    fn an_exit_status_that_nobody_saw_is_taken_over_and_others_are_not() {
        let check = |report: UnitReport, known: &KnownUnit, expected: Option<(u32, i32)>| {
            let exits = seen(report, known).exits;
            assert_eq!(exits.values().next().copied(), expected, "{known:?}");
        };
        let unseen = known(false, None, Some(5));
        check(unit(ID, "exited", Some(7)), &unseen, Some((3, 7)));
        check(unit(ID, "exited", None), &unseen, None);
        check(unit(ID, "absent", Some(7)), &unseen, None);
        check(unit("other:1.0.0", "exited", Some(7)), &unseen, None);
        check(
            unit(ID, "exited", Some(7)),
            &known(false, Some(0), Some(5)),
            None,
        );
        check(unit(ID, "exited", Some(7)), &known(false, None, None), None);
        check(
            unit(ID, "exited", Some(7)),
            &known(true, None, Some(5)),
            None,
        );
    }

    #[test]
    fn a_plugin_that_contradicts_the_shims_is_shown_and_not_believed() {
        let message = |state, known: &KnownUnit| seen(unit(ID, state, None), known).message;
        let (up, down) = (known(true, None, None), known(false, Some(0), Some(5)));
        assert!(
            message("absent", &up)
                .unwrap()
                .contains("its process 42 runs")
        );
        assert!(message("running", &down).unwrap().contains("nobody here"));
        for (state, known) in [("running", &up), ("exited", &down), ("dancing", &up)] {
            assert_eq!(message(state, known), None, "{state}");
        }
    }

    #[test]
    fn what_is_said_is_one_line_of_its_own_pod() {
        let report = Report {
            messages: vec![
                (ID.into(), "one\ntwo \u{1b}[31m".into()),
                (ID.into(), "\n".into()),
                ("other:1.0.0".into(), "no".into()),
                (ID.into(), "x".repeat(1_000)),
            ],
            wake_at_ms: BTreeMap::from([(ID.into(), 9), ("other:1.0.0".into(), 1)]),
            state: BTreeMap::from([(ID.into(), b"new".to_vec())]),
            units: Vec::new(),
        };
        let seen = read(ID, &report, b"old", &[], 4);
        let message = seen.message.clone().unwrap();
        assert!(message.starts_with("one two [31m; xxx"), "{message}");
        assert_eq!(message.chars().count(), MESSAGE_CHARS);
        assert_eq!(seen.wake_at_ms, Some(9));
        assert_eq!(seen.kept.as_ref().unwrap().after, b"new");
        let same = read(ID, &report, b"new", &[], 4);
        assert_eq!(same.kept, None, "nothing new");
        assert!(
            seen.is_news_to(&seen.clone()),
            "it wants to be woken, still"
        );
        let calm = Seen {
            wake_at_ms: None,
            ..seen
        };
        let later = Seen {
            began_ms: 100,
            ..calm.clone()
        };
        assert!(!later.is_news_to(&calm));
    }
}
