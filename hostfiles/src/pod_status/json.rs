//! The status as JSON, for programs: what `ps --json` prints, on a host and by `sns`.

use serde_json::{Value, json};

use super::{ActionStatus, PodStatus, UnitStatus};

impl PodStatus {
    /// The status with every field of the file. Times are Unix seconds; what is not known is `null`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "pod": self.pod,
            "podVersion": self.pod_version,
            "status": self.status.as_str(),
            "ready": self.readiness,
            "restarts": self.restarts(),
            "message": self.message,
            "created": self.created,
            "started": self.started,
            "updated": self.updated,
            "pid": self.pid,
            "hostPorts": self.host_ports,
            "action": self.action.as_ref().map(ActionStatus::to_json),
            "units": self.units.iter().map(UnitStatus::to_json).collect::<Vec<_>>(),
        })
    }

    /// How often units were started again.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        let again = |unit: &UnitStatus| unit.start_count.saturating_sub(1);
        self.units.iter().map(again).sum()
    }
}

impl ActionStatus {
    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "verb": self.verb.as_str(),
            "done": self.outcome.is_some(),
            "error": self.outcome.as_ref().and_then(|outcome| outcome.as_ref().err()),
        })
    }
}

impl UnitStatus {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "container": self.container,
            "image": self.image,
            "imageExists": self.image_exists,
            "restart": self.restart,
            "mounts": self.mounts,
            "ports": self.ports,
            "network": self.network,
            "startCount": self.start_count,
            "status": self.status,
            "pid": self.pid,
            "exitCode": self.exit_code,
        })
    }
}
