//! Which pods a plugin cannot be asked about: counted, and left alone for longer each time. Pure; times are
//! arguments, in milliseconds.

use std::collections::BTreeMap;

use names::ReleaseId;

/// After its first fault a pod is left out for so long, and twice as long after each further one, …
const ASIDE_FIRST_MS: u64 = 60_000;
/// … but never longer than this.
const ASIDE_MAX_MS: u64 = 60 * 60_000;

/// The faults of one plugin.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pods: BTreeMap<ReleaseId, Aside>,
    /// Of the plugin in all, whatever the pod.
    count: u64,
}

#[derive(Debug)]
struct Aside {
    times: u32,
    not_before_ms: u64,
}

impl Faults {
    /// Sets a pod aside with which the plugin failed alone. Gives the line for people.
    pub(super) fn set_aside(&mut self, id: &ReleaseId, error: &str, now_ms: u64) -> String {
        self.count = self.count.saturating_add(1);
        let times = self
            .pods
            .get(id)
            .map_or(0, |before| before.times)
            .saturating_add(1);
        let rest_ms = ASIDE_FIRST_MS
            .saturating_mul(1 << (times - 1).min(16))
            .min(ASIDE_MAX_MS);
        let aside = Aside {
            times,
            not_before_ms: now_ms.saturating_add(rest_ms),
        };
        self.pods.insert(id.clone(), aside);
        format!(
            "{error} (fault {times} with this pod, {} of the plugin); the pod is left out of looks for {} min, or until it or the plugin changes",
            self.count,
            rest_ms / 60_000
        )
    }

    /// Leaves a pod out for which alone the world does not answer the plugin. That is no fault of the plugin, and may
    /// be over soon. Gives the line for people.
    pub(super) fn leave_out(&mut self, id: &ReleaseId, error: &str, now_ms: u64) -> String {
        let not_before_ms = now_ms.saturating_add(ASIDE_FIRST_MS);
        let times = self.pods.get(id).map_or(0, |before| before.times);
        let aside = Aside {
            times,
            not_before_ms,
        };
        self.pods.insert(id.clone(), aside);
        let minutes = ASIDE_FIRST_MS / 60_000;
        format!("{error}, with this pod only; it is left out of looks for {minutes} min")
    }

    /// True while the pod is left out.
    #[must_use]
    pub(super) fn is_aside(&self, id: &ReleaseId, now_ms: u64) -> bool {
        let pod = self.pods.get(id);
        pod.is_some_and(|pod| now_ms < pod.not_before_ms)
    }

    /// True when the plugin has failed with the pod, and did not succeed since.
    #[must_use]
    pub(super) fn is_suspect(&self, id: &ReleaseId) -> bool {
        self.pods.contains_key(id)
    }

    /// The plugin has succeeded with the pod, or the pod is another one now. True when it had failed.
    pub(super) fn forget(&mut self, id: &ReleaseId) -> bool {
        self.pods.remove(id).is_some()
    }

    /// When the next pod that was left out should be asked about again.
    #[must_use]
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.pods.values().map(|pod| pod.not_before_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_left_out_for_longer_each_time_until_it_heals() {
        let (bad, good) = ("bad:1.0.0".parse().unwrap(), "good:1.0.0".parse().unwrap());
        let mut faults = Faults::default();
        let mut now = 5;
        let mut minutes = Vec::new();
        for time in 1..=8 {
            assert!(!faults.is_aside(&bad, now));
            let line = faults.set_aside(&bad, "plugin mock failed", now);
            let next = faults.next_ms().unwrap();
            assert!(line.contains(&format!("fault {time} with this pod, {time} of the plugin")));
            assert!(
                line.contains(&format!("{} min", (next - now) / 60_000)),
                "{line}"
            );
            assert!(faults.is_aside(&bad, next - 1));
            minutes.push((next - now) / 60_000);
            now = next;
        }
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(faults.is_suspect(&bad) && !faults.is_suspect(&good));
        assert!(faults.forget(&bad) && !faults.forget(&bad));
        assert_eq!(faults.next_ms(), None);
        let line = faults.set_aside(&good, "plugin mock failed", now);
        assert!(
            line.contains("fault 1 with this pod, 9 of the plugin"),
            "{line}"
        );
        for _ in 0..3 {
            faults.leave_out(&bad, "no answer", now);
            assert!(faults.is_suspect(&bad) && faults.is_aside(&bad, now + 59_999));
            assert!(!faults.is_aside(&bad, now + 60_000));
        }
        let line = faults.set_aside(&bad, "plugin mock failed", now);
        assert!(
            line.contains("fault 1 with this pod, 10 of the plugin"),
            "no answer is no fault: {line}"
        );
    }
}
