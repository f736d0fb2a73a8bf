//! `ps` and `readiness`: how a pod is, as its driver last wrote it. A status whose driver is gone says
//! nothing about a pod that ran.

use std::path::Path;

use hostfiles::{Format, PodPhase, PodStatus, read_if_present};
use serde_json::json;

use super::{PodError, PodFile};

/// A status is written at least once a minute; one that is older than this belongs to no driver.
const AGE_MAX_S: u64 = 600;

impl PodFile {
    /// The status of the pod; `non-existing` when it never ran, `unknown` when nobody drives it.
    ///
    /// # Errors
    /// The status file is damaged.
    pub fn ps(&self, now_s: u64) -> Result<String, PodError> {
        Ok(match self.standing(now_s)? {
            Ok(status) => status.to_text(),
            Err(word) => format!("pod: {}\nstatus: {word}\n", self.full_name()),
        })
    }

    /// The same as JSON, on one line for each pod.
    ///
    /// # Errors
    /// The status file is damaged.
    pub fn ps_json(&self, now_s: u64) -> Result<String, PodError> {
        let value = match self.standing(now_s)? {
            Ok(status) => status.to_json(),
            Err(word) => json!({
                "pod": self.full_name(),
                "status": word,
                "ready": false,
                "units": [],
            }),
        };
        Ok(format!("{value}\n"))
    }

    /// What is true of the pod; else the word for what is known instead.
    fn standing(&self, now_s: u64) -> Result<Result<PodStatus, &'static str>, PodError> {
        let status: Option<PodStatus> = read_if_present(&self.release.status())
            .map_err(|error| PodError::Status(Box::new(error)))?;
        let status = status.ok_or("non-existing");
        Ok(status.and_then(|status| is_true(&status, now_s).then_some(status).ok_or("unknown")))
    }

    fn full_name(&self) -> String {
        format!("{}-{}", self.pod.pod, self.pod.pod_version)
    }

    /// True when the pod may get traffic, as far as its driver, which must be alive, knows.
    #[must_use]
    pub fn is_ready(&self, now_s: u64) -> bool {
        let status = read_if_present::<PodStatus>(&self.release.status());
        status.is_ok_and(|status| {
            status.is_some_and(|status| status.readiness && is_driven(&status, now_s))
        })
    }
}

/// What has no process needs none to stay as it is.
fn is_true(status: &PodStatus, now_s: u64) -> bool {
    let stays = matches!(
        status.status,
        PodPhase::Created | PodPhase::Exited | PodPhase::Removed
    );
    stays || is_driven(status, now_s)
}

fn is_driven(status: &PodStatus, now_s: u64) -> bool {
    let is_fresh = now_s.saturating_sub(status.updated) <= AGE_MAX_S;
    is_fresh
        && status
            .pid
            .is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists())
}
