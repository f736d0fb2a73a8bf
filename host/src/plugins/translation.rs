//! Plugins that have to be translated for this machine before they can be used, which takes seconds: what
//! is to be translated, and for how long one that could not be is left alone.
//!
//! It starts nothing by itself: whoever loads plugins decides where the time is spent.

use std::collections::BTreeMap;
use std::fmt;

use simplenetes_plugin::{Engine, Grants, LoadError, Plugin};

use super::PluginProblem;
use crate::log::one_line;

/// After the first failure a plugin is left alone for so long, and twice as long after each further one, …
const REST_FIRST_MS: u64 = 2 * 60_000;
/// … but never longer than this.
const REST_MAX_MS: u64 = 60 * 60_000;

/// Digest and grants: the same plugin with the same grants is not loaded twice.
pub(super) type Key = (String, String);

/// A plugin that has to be translated.
pub struct Translation {
    pub(super) key: Key,
    /// The name of the plugin with its version.
    pub(super) name: String,
    pub(super) component: Vec<u8>,
    pub(super) grants: Grants,
    pub(super) engine: Engine,
}

/// What came out of a translation.
pub struct Translated {
    pub(super) key: Key,
    /// The plugin, or why there is none.
    pub(super) outcome: Result<Plugin, String>,
}

impl Translation {
    /// Translates the plugin, which blocks for seconds.
    #[must_use]
    pub fn run(self) -> Translated {
        let outcome = self.engine.load(&self.component, self.grants);
        Translated {
            key: self.key,
            outcome: outcome.map_err(|error| explain(self.name, error)),
        }
    }
}

impl fmt::Display for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// One line for people.
pub(super) fn explain(name: String, error: LoadError) -> String {
    one_line(&PluginProblem::Load(name, Box::new(error)))
}

/// Plugins that could not be translated.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<Key, Failure>);

#[derive(Debug)]
struct Failure {
    problem: String,
    times: u32,
    not_before_ms: u64,
}

impl Failures {
    /// Notes that the plugin could not be translated.
    pub(super) fn add(&mut self, key: Key, problem: String, now_ms: u64) {
        let times = self.0.get(&key).map_or(0, |before| before.times);
        let rest = rest_ms(times);
        let failure = Failure {
            problem,
            times: times.saturating_add(1),
            not_before_ms: now_ms.saturating_add(rest),
        };
        self.0.insert(key, failure);
    }

    /// The plugin could be translated, or is not wanted any more.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Key) -> bool) {
        self.0.retain(|key, _| is_kept(key));
    }

    /// Why the plugin is not translated now; none when it should be.
    pub(super) fn rests(&self, key: &Key, now_ms: u64) -> Option<String> {
        let failure = self.0.get(key)?;
        let left = failure.not_before_ms.checked_sub(now_ms)?;
        (left > 0).then(|| {
            let minutes = rest_ms(failure.times.saturating_sub(1)) / 60_000;
            format!(
                "{}; it is tried again {minutes} min after that, or when the plugin or its grants change",
                failure.problem
            )
        })
    }

    /// When one of them should be tried again.
    pub(super) fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let due = self.0.values().map(|failure| failure.not_before_ms);
        due.filter(|due| *due > now_ms).min()
    }
}

fn rest_ms(failures_before: u32) -> u64 {
    REST_FIRST_MS
        .saturating_mul(1 << failures_before.min(16))
        .min(REST_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_failed_rests_longer_each_time() {
        let key = ("digest".to_owned(), "grants".to_owned());
        let mut failures = Failures::default();
        let mut now = 7;
        let mut rests = Vec::new();
        for _ in 0..8 {
            assert_eq!(failures.rests(&key, now), None);
            failures.add(key.clone(), "too large".into(), now);
            let next = failures.next_ms(now).unwrap();
            let minutes = (next - now) / 60_000;
            let line = failures.rests(&key, next - 1).unwrap();
            assert!(line.starts_with(&format!("too large; it is tried again {minutes} min")));
            rests.push(minutes);
            now = next;
        }
        assert_eq!(rests, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(failures.next_ms(now), None, "it is due");
        failures.retain(|_| false);
        assert_eq!(failures.rests(&key, 0), None);
    }
}
