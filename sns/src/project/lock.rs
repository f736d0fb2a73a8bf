//! One verb at a time changes a project: without that, two compiles would choose the same ports.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::Cluster;
use crate::command_error::CommandError;
use crate::directories;
use crate::git::Repository;
use crate::ui::Ui;

/// Longest wait for another `sns`, and how often it is asked meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(100);

/// The project is this process's to change for as long as this value lives. The system gives it back when
/// the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct ProjectLock {
    _file: File,
}

impl Cluster<'_> {
    /// Waits until no other `sns` changes the project, for half a minute at most.
    pub(crate) fn lock(&self, ui: &Ui) -> Result<ProjectLock, CommandError> {
        // Inside git's own directory, where git does not look.
        let path = Repository::open(self.path())?.git_dir().join("sns.lock");
        let lock = take(&path, WAIT_MAX, &|holder| {
            ui.note(&format!(
                "waiting for {holder}, which changes the project …"
            ));
        })?;
        self.sweep()?;
        Ok(lock)
    }

    /// Removes what a killed `sns` left, before git sees it.
    fn sweep(&self) -> Result<(), CommandError> {
        directories::sweep_root(self.path())?;
        for name in self.host_names()? {
            let host = self.files.host(&name);
            for release in host.releases().unwrap_or_default() {
                directories::sweep(host.release(&release).path())?;
            }
            for pod in host.attached().unwrap_or_default() {
                directories::sweep(&host.pod_dir(&pod).join("release"))?;
            }
        }
        Ok(())
    }
}

fn take(path: &Path, wait_max: Duration, tell: &dyn Fn(&str)) -> Result<ProjectLock, CommandError> {
    let failed = |error| CommandError::files(format!("could not lock {}", path.display()), error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if waited >= wait_max => {
                return Err(CommandError::refused(format!(
                    "{} still changes the project after {} seconds",
                    holder(path),
                    wait_max.as_secs()
                ))
                .hint("wait for it or end it, and try again; the lock goes with the process"));
            }
            Err(TryLockError::WouldBlock) => {
                if waited.is_zero() {
                    tell(&holder(path));
                }
                std::thread::sleep(ASK_EVERY);
                waited += ASK_EVERY;
            }
        }
    }
    // Only for whoever waits; the lock is what counts.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(ProjectLock { _file: file })
}

/// Who holds the lock, as it wrote into the file.
fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(20).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("another sns (process {pid})"),
        _ => "another sns".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn the_second_waits_for_the_first_and_no_longer_than_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sns.lock");
        let told = RefCell::new(Vec::new());
        let take = || {
            take(&path, ASK_EVERY, &|holder| {
                told.borrow_mut().push(holder.to_owned());
            })
        };
        let first = take().unwrap();
        let this = format!("another sns (process {})", std::process::id());
        let refusal = take().unwrap_err();
        assert!(refusal.to_string().starts_with(&this), "{refusal}");
        assert_eq!(*told.borrow(), [this]);
        drop(first);
        // Perhaps not at once: a program that another test just starts has all descriptors for a moment.
        take().unwrap();
    }
}
