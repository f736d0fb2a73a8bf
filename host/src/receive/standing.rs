//! What has become of a release on this host: its status file, unless whoever wrote it is gone.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use hostfiles::{Format as _, HostHome, PodPhase, PodProblem, PodStatus, ReadError, ReleaseDir};
use names::ReleaseId;
use simplenetes_sync::wire::{Standing, StandingKind};

use crate::home::LOCK;
use crate::log::one_line;

/// Reads it.
pub(super) fn of(home: &HostHome, release: &ReleaseId) -> Standing {
    let directory = home.release(release);
    let problem = problem(home.path(), &directory).unwrap_or_else(|error| one_line(&error));
    let (kind, text) = match hostfiles::read_if_present::<PodStatus>(&directory.status()) {
        Ok(None) => (StandingKind::NonExisting, problem),
        Err(_) if !problem.is_empty() => (StandingKind::Unreadable, problem),
        Err(error) => (StandingKind::Unreadable, one_line(&error)),
        Ok(Some(mut status)) => {
            if status.message.is_empty() {
                status.message = problem;
            }
            let is_over = matches!(status.status, PodPhase::Exited | PodPhase::Removed);
            let is_kept = is_over || (is_alive(status.pid) && has_daemon(home.path()));
            let kind = match is_kept {
                true => StandingKind::Known,
                false => StandingKind::Stale,
            };
            (kind, status.to_text())
        }
    };
    Standing { kind, text }
}

/// What the daemon says of a foreign pod, whose status is not its own; nothing when there is no daemon.
fn problem(home: &Path, release: &ReleaseDir) -> Result<String, ReadError> {
    match hostfiles::read_if_present::<PodProblem>(&release.problem())? {
        Some(problem) if has_daemon(home) => Ok(problem.0),
        _ => Ok(String::new()),
    }
}

fn is_alive(pid: Option<u32>) -> bool {
    pid.is_none_or(|pid| fs::exists(format!("/proc/{pid}")).unwrap_or_default())
}

/// True when a daemon serves a home. Its process may live and be another program by now, so only the lock
/// counts. Asking takes the lock for a moment, shared, and not at all where no daemon ever was.
fn has_daemon(home: &Path) -> bool {
    match File::open(home.join(LOCK)) {
        Ok(lock) => matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)),
        // Whoever may not ask takes the word of the status.
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_has_a_daemon_while_its_lock_is_held() {
        let home = tempfile::tempdir().unwrap();
        assert!(!has_daemon(home.path()), "there never was one");
        let lock = File::create(home.path().join(LOCK)).unwrap();
        assert!(!has_daemon(home.path()), "it has ended");
        lock.lock().unwrap();
        assert!(has_daemon(home.path()));
    }
}
