//! Reading desired state while a sync may change it: what was read is only believed when no sync began
//! or ended meanwhile. It knows nothing of what is read.

use std::fs;

use hostfiles::HostHome;
use simplenetes_sync::journal_open;

/// Syncs that end while the home is read, one after the other, before it is left to the next wake.
const TRIES_MAX: u32 = 3;

/// What `read` gives while no sync is in the middle of its changes; none when one is: the end of its
/// journal wakes the daemon again.
pub(super) fn undisturbed<T>(home: &HostHome, mut read: impl FnMut() -> T) -> Option<T> {
    for _ in 0..TRIES_MAX {
        let before = fs::read(home.commit_chain()).ok();
        if journal_open(home) {
            return None;
        }
        let seen = read();
        if journal_open(home) {
            return None;
        }
        // A sync that began and ended meanwhile has written its commit last.
        if fs::read(home.commit_chain()).ok() == before {
            return Some(seen);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, HostHome) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".sync")).unwrap();
        let home = HostHome::new(folder.path());
        (folder, home)
    }

    #[test]
    fn what_was_read_during_a_sync_is_thrown_away() {
        let (_folder, home) = home();
        let journal = home.sync_dir().join("journal.json");
        let put = |path: &std::path::Path| hostfiles::replace(path, b"{}", 0o600).unwrap();
        let mut reads = 0;
        assert_eq!(undisturbed(&home, || put(&journal)), None);
        assert_eq!(undisturbed(&home, || reads += 1), None);
        assert_eq!(reads, 0, "nothing is read while a journal is open");
        fs::remove_file(journal).unwrap();
        assert_eq!(undisturbed(&home, || 7), Some(7));
    }

    #[test]
    fn a_sync_that_ended_meanwhile_is_read_again() {
        let (_folder, home) = home();
        let mut reads = 0;
        let seen = undisturbed(&home, || {
            reads += 1;
            if reads == 1 {
                hostfiles::replace(&home.commit_chain(), b"abc\n", 0o644).unwrap();
            }
            reads
        });
        assert_eq!(seen, Some(2));
    }
}
