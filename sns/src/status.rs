//! What has become of a release on its host, as `ps` shows it: the status file of a local host, unless
//! whoever wrote it is gone.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use hostfiles::{HostHome, PodPhase, PodProblem, PodStatus, ReleaseDir};

use crate::command_error::CommandError;
use crate::environment::Environment;
use crate::project::Selected;

/// What the daemon of a home keeps locked for as long as it runs, as `simplenetesd` opens it.
const DAEMON_LOCK: &str = ".daemon.lock";

/// What is known about a release.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// Its status file.
    Known(Box<PodStatus>),
    /// It was never run, or the host does not have it yet; and what its daemon says of it, if anything.
    NonExisting(String),
    /// Its status file is old: the process that wrote it is gone.
    Stale(Box<PodStatus>),
    /// Its host is not on this machine.
    Unreachable,
    /// Its status cannot be read, for this reason. The other releases can be shown all the same.
    Unreadable(String),
}

impl Standing {
    /// Reads it.
    pub(crate) fn read(release: &Selected, environment: &Environment) -> Self {
        Self::try_read(release, environment)
            .unwrap_or_else(|error| Self::Unreadable(error.to_string()))
    }

    fn try_read(release: &Selected, environment: &Environment) -> Result<Self, CommandError> {
        if !release.host.is_local() {
            return Ok(Self::Unreachable);
        }
        let home = release.host.home(environment)?;
        let files = home.files.release(&release.id);
        let problem = problem(&home.files, &files)?;
        let mut status = match hostfiles::read_if_present::<PodStatus>(&files.status()) {
            Ok(Some(status)) => status,
            Ok(None) => return Ok(Self::NonExisting(problem)),
            Err(_) if !problem.is_empty() => return Ok(Self::Unreadable(problem)),
            Err(error) => return Err(error.into()),
        };
        if status.message.is_empty() {
            status.message = problem;
        }
        let is_over = matches!(status.status, PodPhase::Exited | PodPhase::Removed);
        let is_kept = is_over || (is_alive(status.pid) && has_daemon(home.files.path())?);
        let status = Box::new(status);
        Ok(if is_kept {
            Self::Known(status)
        } else {
            Self::Stale(status)
        })
    }

    /// The word of the status.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Known(status) => status.status.as_str(),
            Self::NonExisting(_) => "non-existing",
            Self::Stale(_) | Self::Unreachable | Self::Unreadable(_) => "unknown",
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
        self.known().map_or(0, PodStatus::restarts)
    }

    /// What a person should know.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Known(status) => &status.message,
            Self::NonExisting(problem) => problem,
            Self::Stale(_) => "no daemon drives it",
            Self::Unreachable => "not on this machine",
            Self::Unreadable(reason) => reason,
        }
    }

    /// The status as JSON, with every field of the file that is known.
    pub(crate) fn json(&self) -> serde_json::Value {
        let Some(status) = self.known() else {
            return serde_json::json!({
                "status": self.word(),
                "ready": false,
                "restarts": 0,
                "message": self.message(),
                "units": [],
            });
        };
        status.to_json()
    }
}

/// What the daemon says of a foreign pod, whose status is not its own; nothing when there is no daemon.
fn problem(home: &HostHome, release: &ReleaseDir) -> Result<String, CommandError> {
    match hostfiles::read_if_present::<PodProblem>(&release.problem())? {
        Some(problem) if has_daemon(home.path())? => Ok(problem.0),
        _ => Ok(String::new()),
    }
}

fn is_alive(pid: Option<u32>) -> bool {
    pid.is_none_or(|pid| Path::new(&format!("/proc/{pid}")).exists())
}

/// True when a daemon serves a home. Its process may live and be another program by now, so only the lock
/// counts. Asking takes the lock for a moment, shared, and not at all where no daemon ever was.
fn has_daemon(home: &Path) -> Result<bool, CommandError> {
    let path = home.join(DAEMON_LOCK);
    let failed = |error| {
        CommandError::files(
            format!("could not ask for the daemon with {}", path.display()),
            error,
        )
    };
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_has_a_daemon_while_its_lock_is_held() {
        let home = tempfile::tempdir().unwrap();
        assert!(!has_daemon(home.path()).unwrap(), "there never was one");
        let lock = File::create(home.path().join(DAEMON_LOCK)).unwrap();
        assert!(!has_daemon(home.path()).unwrap(), "it has ended");
        lock.lock().unwrap();
        assert!(has_daemon(home.path()).unwrap());
    }
}
