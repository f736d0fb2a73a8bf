//! Who may change a pod: its owner, and nobody else, not even root.
//!
//! Whoever drives a pod loads the plugins of its host, runs its units and follows the links in its
//! directories. All of that is the owner's to choose, so root would do whatever the owner likes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::gate::look_up_id;

/// Why somebody may not change a pod.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// It is somebody else's.
    #[error(
        "{} belongs to {owner}, and this is {me}: do it as the owner, with `sudo -u {user} {} …`",
        .path.display(), .pod.display()
    )]
    Foreign {
        /// The file or directory.
        path: PathBuf,
        /// The compiled pod.
        pod: PathBuf,
        /// Its owner, for people.
        owner: String,
        /// Likewise, for `sudo`.
        user: String,
        /// Who wants to change it.
        me: String,
    },
    /// Somebody else could put another pod in its place while root works on it.
    #[error(
        "{} is root's, but {} above it belongs to {owner}, who could exchange it: give the pod to its user (`chown -R`) and run it as him, or keep it where only root may write",
        .pod.display(), .path.display()
    )]
    Exchangeable {
        /// The directory.
        path: PathBuf,
        /// The compiled pod.
        pod: PathBuf,
        /// The owner of the directory, for people.
        owner: String,
    },
    /// It cannot be looked at.
    #[error("cannot look at {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
}

/// Makes sure that the pod in this file, whose path holds no link, is this user's, and so is everything
/// that he takes from beside it. `home` is the host home that the pod lies in.
///
/// # Errors
/// It is not, or nobody can say.
pub fn check(pod: &Path, home: Option<&Path>, me: u32) -> Result<(), OwnerError> {
    for path in [Some(pod), pod.parent(), home].into_iter().flatten() {
        let owner = owner(path)?;
        if owner != me {
            return Err(OwnerError::Foreign {
                path: path.to_owned(),
                pod: pod.to_owned(),
                owner: describe(owner),
                user: name(owner).unwrap_or_else(|| format!("'#{owner}'")),
                me: describe(me),
            });
        }
    }
    if me != 0 {
        return Ok(());
    }
    for path in pod.ancestors() {
        let owner = owner(path)?;
        if owner != 0 {
            return Err(OwnerError::Exchangeable {
                path: path.to_owned(),
                pod: pod.to_owned(),
                owner: describe(owner),
            });
        }
    }
    Ok(())
}

fn owner(path: &Path) -> Result<u32, OwnerError> {
    fs::symlink_metadata(path)
        .map(|meta| meta.uid())
        .map_err(|error| OwnerError::Unreadable(path.to_owned(), error))
}

fn name(uid: u32) -> Option<String> {
    look_up_id(Path::new("/etc"), uid)
        .ok()
        .map(|(name, _)| name)
}

/// The user with this number, for people.
pub(crate) fn describe(uid: u32) -> String {
    match name(uid) {
        Some(name) => format!("user {name}"),
        None => format!("user {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    const ALICE: u32 = 64_301;

    /// `alice/home/pods/web/release/1.0.0/pod`, all of it root's.
    fn stage() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join("alice/home/pods/web/release/1.0.0");
        fs::create_dir_all(&release).unwrap();
        hostfiles::replace(&release.join("pod"), b"", 0o755).unwrap();
        (folder, release.join("pod"))
    }

    fn refusal(pod: &Path, me: u32) -> Option<String> {
        let home = pod.ancestors().nth(5).unwrap();
        assert!(home.ends_with("home"));
        check(pod, Some(home), me)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn only_the_owner_of_everything_that_counts_may() {
        let check = |given: &[&str], me: u32, expected: Option<&str>| {
            let (folder, pod) = stage();
            for below in given {
                chown(folder.path().join(below), Some(ALICE), None).unwrap();
            }
            let refusal = refusal(&pod, me);
            assert_eq!(
                refusal.is_some(),
                expected.is_some(),
                "{given:?}: {refusal:?}"
            );
            let said = refusal.unwrap_or_default();
            assert!(said.contains(expected.unwrap_or_default()), "{said}");
        };
        let release = "alice/home/pods/web/release/1.0.0";
        let pod = "alice/home/pods/web/release/1.0.0/pod";
        check(&[], 0, None);
        check(&[pod], 0, Some("as the owner, with `sudo -u '#64301' "));
        check(&[release], 0, Some("this is user root"));
        // Plugins come from the home.
        check(&["alice/home"], 0, Some("belongs to user 64301"));
        check(&["alice"], 0, Some("who could exchange it"));
        check(&["alice/home/pods/web"], 0, Some("who could exchange it"));
        check(&["alice/home", release, pod], ALICE, None);
        check(
            &["alice/home", release],
            ALICE,
            Some("belongs to user root"),
        );
    }
}
