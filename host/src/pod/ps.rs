//! `ps` and `readiness`: how a pod is, as its driver last wrote it. A status whose driver is gone says
//! nothing about a pod that ran.

use std::path::Path;

use hostfiles::{Format, PodPhase, PodStatus, read_if_present};

use super::{PodError, PodFile};

/// A status is written at least once a minute; one that is older than this belongs to no driver.
const AGE_MAX_S: u64 = 600;

impl PodFile {
    /// The status of the pod; `non-existing` when it never ran, `unknown` when nobody drives it.
    ///
    /// # Errors
    /// The status file is damaged.
    pub fn ps(&self, now_s: u64) -> Result<String, PodError> {
        let status: Option<PodStatus> = read_if_present(&self.release.status())
            .map_err(|error| PodError::Status(Box::new(error)))?;
        let name = format!("{}-{}", self.pod.pod, self.pod.pod_version);
        Ok(match status {
            None => format!("pod: {name}\nstatus: non-existing\n"),
            Some(status) if is_true(&status, now_s) => status.to_text(),
            Some(_) => format!("pod: {name}\nstatus: unknown\n"),
        })
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

fn is_true(status: &PodStatus, now_s: u64) -> bool {
    matches!(status.status, PodPhase::Exited | PodPhase::Removed) || is_driven(status, now_s)
}

fn is_driven(status: &PodStatus, now_s: u64) -> bool {
    let is_fresh = now_s.saturating_sub(status.updated) <= AGE_MAX_S;
    is_fresh
        && status
            .pid
            .is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists())
}
