//! What has become of a release on its host, as `ps` shows it: the status file of a local host, unless
//! whoever wrote it is gone.

use std::path::Path;

use hostfiles::{PodPhase, PodStatus};

use crate::command_error::CommandError;
use crate::environment::Environment;
use crate::project::Selected;

/// What is known about a release.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// Its status file.
    Known(Box<PodStatus>),
    /// It was never run, or the host does not have it yet.
    NonExisting,
    /// Its status file is old: the process that wrote it is gone.
    Stale(Box<PodStatus>),
    /// Its host is not on this machine.
    Unreachable,
}

impl Standing {
    /// Reads it.
    pub(crate) fn read(
        release: &Selected,
        environment: &Environment,
    ) -> Result<Self, CommandError> {
        if !release.host.is_local() {
            return Ok(Self::Unreachable);
        }
        let home = release.host.home(environment)?;
        let path = home.files.release(&release.id).status();
        let Some(status) = hostfiles::read_if_present::<PodStatus>(&path)? else {
            return Ok(Self::NonExisting);
        };
        let is_over = matches!(status.status, PodPhase::Exited | PodPhase::Removed);
        let driver_is_gone = status
            .pid
            .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        let status = Box::new(status);
        Ok(if driver_is_gone && !is_over {
            Self::Stale(status)
        } else {
            Self::Known(status)
        })
    }

    /// The word of the status.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Known(status) => status.status.as_str(),
            Self::NonExisting => "non-existing",
            Self::Stale(_) | Self::Unreachable => "unknown",
        }
    }

    /// The status, if it can be relied on.
    pub(crate) fn known(&self) -> Option<&PodStatus> {
        match self {
            Self::Known(status) => Some(status),
            _ => None,
        }
    }

    /// True when it may get traffic.
    pub(crate) fn is_ready(&self) -> bool {
        self.known().is_some_and(|status| status.readiness)
    }

    /// How often its units were started again.
    pub(crate) fn restarts(&self) -> u32 {
        let units = self
            .known()
            .map(|status| status.units.as_slice())
            .unwrap_or_default();
        units
            .iter()
            .map(|unit| unit.start_count.saturating_sub(1))
            .sum()
    }

    /// What a person should know.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Known(status) => &status.message,
            Self::NonExisting => "",
            Self::Stale(_) => "no daemon drives it",
            Self::Unreachable => "not on this machine",
        }
    }

    /// The status as JSON, with every field of the file.
    pub(crate) fn json(&self) -> serde_json::Value {
        let units: Vec<serde_json::Value> = self
            .known()
            .map(|status| status.units.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|unit| {
                serde_json::json!({
                    "name": unit.name,
                    "container": unit.container,
                    "image": unit.image,
                    "restart": unit.restart,
                    "ports": unit.ports,
                    "startCount": unit.start_count,
                    "status": unit.status,
                    "pid": unit.pid,
                    "exitCode": unit.exit_code,
                })
            })
            .collect();
        let status = self.known();
        serde_json::json!({
            "status": self.word(),
            "ready": self.is_ready(),
            "restarts": self.restarts(),
            "message": self.message(),
            "created": status.and_then(|status| status.created),
            "started": status.and_then(|status| status.started),
            "updated": status.map(|status| status.updated),
            "pid": status.and_then(|status| status.pid),
            "hostPorts": status.map(|status| status.host_ports.clone()),
            "units": units,
        })
    }
}
