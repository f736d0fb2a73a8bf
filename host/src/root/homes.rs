//! Finds the host homes of the machine: directories with `cluster-id.txt` and `pods`, where a pattern says.
//!
//! Whatever lies below a user's directory may be a trap, so each step is opened from the one before it,
//! no link is followed and no file is read. A home must belong to the same user as what lies in it, and
//! every directory above it to that user or to root, and none of it may be written by others; so nobody
//! can have a worker of another user run on files that he can exchange.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat,
};
use rustix::io::Errno;

/// So many directories are looked at below one; the rest is left out, and said.
const ENTRIES_MAX: usize = 1024;

/// Where to look: an absolute path in which a component `*` stands for every directory there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The directories that the operator names; these may be links.
    start: PathBuf,
    /// What follows, from the first `*` on; none is a name.
    steps: Vec<Option<String>>,
}

/// A text that is no pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place for host homes: expected an absolute path in which `*` may stand for a directory, as in /home/*/*"
)]
pub struct PatternError(String);

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let refuse = || PatternError(text.to_owned());
        let mut start = PathBuf::from("/");
        let mut steps = Vec::new();
        let names = text.strip_prefix('/').ok_or_else(refuse)?;
        for name in names.split('/').filter(|name| !name.is_empty()) {
            match name {
                "." | ".." => return Err(refuse()),
                "*" => steps.push(None),
                name if name.contains('*') => return Err(refuse()),
                name if steps.is_empty() => start.push(name),
                name => steps.push(Some(name.to_owned())),
            }
        }
        Ok(Self { start, steps })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.steps.iter().map(|step| step.as_deref().unwrap_or("*"));
        let path: PathBuf = std::iter::once(self.start.as_path())
            .chain(steps.map(Path::new))
            .collect();
        write!(f, "{}", path.display())
    }
}

/// Which directory a home is, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) owner: u32,
    device: u64,
    inode: u64,
}

/// A host home that was found.
#[derive(Debug)]
pub(super) struct FoundHome {
    pub(super) identity: Identity,
    /// The directory, opened by its path only.
    pub(super) directory: OwnedFd,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) homes: BTreeMap<PathBuf, FoundHome>,
    /// What looks like a home and is not served, and why.
    pub(super) problems: Vec<String>,
}

/// Looks for homes. Each directory in which one could appear is given to `seen`, with
/// its owner.
pub(super) fn find(patterns: &[Pattern], seen: &mut dyn FnMut(&OwnedFd, u32)) -> Found {
    let mut found = Found::default();
    for pattern in patterns {
        // Only the operator's own part of the path may be a link.
        let Ok(start) = fs::canonicalize(&pattern.start) else {
            continue;
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = openat(rustix::fs::CWD, &start, flags, Mode::empty()) else {
            continue;
        };
        let mut walk = Walk {
            seen,
            found: &mut found,
        };
        walk.below(directory, &start, &pattern.steps, &[]);
    }
    found
}

struct Walk<'a> {
    seen: &'a mut dyn FnMut(&OwnedFd, u32),
    found: &'a mut Found,
}

impl Walk<'_> {
    /// `above` are the directories on the way that may be a user's.
    fn below(&mut self, directory: OwnedFd, path: &Path, steps: &[Option<String>], above: &[Stat]) {
        let Ok(own) = fstat(&directory) else {
            return;
        };
        (self.seen)(&directory, own.st_uid);
        let Some((step, rest)) = steps.split_first() else {
            return self.look(directory, path, &own, above);
        };
        let above: Vec<Stat> = above.iter().copied().chain([own]).collect();
        let names = match step {
            Some(name) => vec![name.clone()],
            None => self.names(&directory, path),
        };
        for name in names {
            // A directory that is none, is gone or is not for root to see is no home.
            if let Ok(next) = step_into(&directory, &name, own.st_uid) {
                self.below(next, &path.join(&name), rest, &above);
            }
        }
    }

    /// The directories in a directory, hidden ones left out.
    fn names(&mut self, directory: &OwnedFd, path: &Path) -> Vec<String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(entries) = openat(directory, ".", flags, Mode::empty()).and_then(Dir::new) else {
            return Vec::new();
        };
        let may_be_directory = |kind| matches!(kind, FileType::Directory | FileType::Unknown);
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| may_be_directory(entry.file_type()))
            .filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned()))
            .filter(|name| !name.starts_with('.'))
            .take(ENTRIES_MAX + 1)
            .collect();
        if names.len() > ENTRIES_MAX {
            names.truncate(ENTRIES_MAX);
            self.found.problems.push(format!(
                "{}: only {ENTRIES_MAX} of its directories are looked at for host homes",
                path.display()
            ));
        }
        names
    }

    fn look(&mut self, directory: OwnedFd, path: &Path, own: &Stat, above: &[Stat]) {
        let inside = INSIDE.map(|name| statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).ok());
        let [Some(_), Some(_), ..] = inside else {
            return;
        };
        if let Some(why) = refusal(own, above, &inside) {
            let problem = format!("{} is not served: {why}", path.display());
            self.found.problems.push(problem);
            return;
        }
        let home = FoundHome {
            identity: Identity {
                owner: own.st_uid,
                device: own.st_dev,
                inode: own.st_ino,
            },
            directory,
        };
        self.found.homes.insert(path.to_owned(), home);
    }
}

/// Opens a directory by its name. From a user's directory no other file system is entered: it may be one
/// that the user provides, and does not answer.
fn step_into(from: impl AsFd, name: &str, owner: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    if owner != 0 {
        inside |= ResolveFlags::NO_XDEV;
    }
    openat2(from, name, flags, Mode::empty(), inside)
}

/// What decides over what a worker does, and is looked at: the first two make a host home.
const INSIDE: [&str; 4] = ["cluster-id.txt", "pods", "plugins.yaml", "plugins"];

/// Why a directory with the files of a host home is not served.
fn refusal(own: &Stat, above: &[Stat], inside: &[Option<Stat>; INSIDE.len()]) -> Option<String> {
    const STICKY: u32 = 0o1000;
    const OTHERS: u32 = 0o002;
    const GROUP: u32 = 0o020;
    let owner = own.st_uid;
    // A group shares a directory by agreement, but never with root.
    let (closed, remedy) = if owner == 0 {
        (OTHERS | GROUP, "chmod go-w")
    } else {
        (OTHERS, "chmod o-w")
    };
    for (name, seen) in INSIDE.iter().zip(inside) {
        let Some(seen) = seen else { continue };
        let expected = match *name {
            "pods" | "plugins" => FileType::Directory,
            _ => FileType::RegularFile,
        };
        if FileType::from_raw_mode(seen.st_mode) != expected {
            return Some(format!("its {name} is a link or something else"));
        }
        if seen.st_uid != owner {
            return Some(format!(
                "its {name} does not belong to its owner, user {owner}"
            ));
        }
        if seen.st_mode & closed != 0 {
            return Some(format!("others may write to its {name}: `{remedy}`"));
        }
    }
    if own.st_mode & closed != 0 {
        return Some(format!("others may write to it: `{remedy}`"));
    }
    for directory in above {
        if directory.st_uid != 0 && directory.st_uid != owner {
            return Some(format!(
                "it belongs to user {owner}, and a directory above it to user {}",
                directory.st_uid
            ));
        }
        if directory.st_mode & closed != 0 && directory.st_mode & STICKY == 0 {
            return Some("others may write to a directory above it".into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn home(path: &Path, owner: u32) {
        fs::create_dir_all(path.join("pods")).unwrap();
        hostfiles::replace(&path.join("cluster-id.txt"), b"test\n", 0o644).unwrap();
        let inside = ["", "pods", "cluster-id.txt"];
        inside
            .iter()
            .for_each(|name| chown(path.join(name), Some(owner), None).unwrap());
    }

    fn look(folder: &Path) -> (Vec<(String, u32)>, Vec<String>) {
        let pattern: Pattern = format!("{}/home/*/*", folder.display()).parse().unwrap();
        let found = find(&[pattern], &mut |_, _| {});
        let homes = found.homes.iter().map(|(path, home)| {
            let below = path.strip_prefix(folder).unwrap();
            (below.display().to_string(), home.identity.owner)
        });
        (homes.collect(), found.problems)
    }

    #[test]
    fn patterns() {
        let check = |text: &str, expected: Option<&str>| {
            let pattern = text
                .parse::<Pattern>()
                .ok()
                .map(|pattern| pattern.to_string());
            assert_eq!(pattern.as_deref(), expected, "{text}");
        };
        check("/home/*/*", Some("/home/*/*"));
        check("/srv//clusters/", Some("/srv/clusters"));
        check("/srv/*/cluster", Some("/srv/*/cluster"));
        check("home/*", None);
        check("/home/../*", None);
        check("/home/a*", None);
    }

    #[test]
    fn homes_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        home(&at("home/alice/one"), 64_001);
        home(&at("home/alice/two"), 64_001);
        home(&at("home/bob/three"), 64_002);
        home(&at("home/alice/.hidden"), 64_001);
        home(&at("home/alice/deep/er"), 64_001);
        home(&at("elsewhere"), 64_001);
        fs::create_dir_all(at("home/alice/nothing/pods")).unwrap();
        symlink(at("elsewhere"), at("home/alice/link")).unwrap();
        symlink(at("home/alice"), at("home/carol")).unwrap();
        for owner in [("home/alice", 64_001), ("home/bob", 64_002)] {
            chown(at(owner.0), Some(owner.1), None).unwrap();
        }
        let (homes, problems) = look(folder.path());
        let expected = [
            ("home/alice/one".to_owned(), 64_001),
            ("home/alice/two".to_owned(), 64_001),
            ("home/bob/three".to_owned(), 64_002),
        ];
        assert_eq!(
            (homes.as_slice(), problems.as_slice()),
            (&expected[..], &[][..])
        );
    }

    #[test]
    fn a_home_of_root_is_closed_to_its_group_too() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("home/root/one");
        let set = |below: &str, mode| {
            fs::set_permissions(at.join(below), fs::Permissions::from_mode(mode)).unwrap();
        };
        home(&at, 0);
        assert_eq!(look(folder.path()).0.len(), 1);
        for below in ["", "pods", "cluster-id.txt"] {
            set(below, 0o2775);
            let (homes, problems) = look(folder.path());
            assert_eq!(homes, []);
            assert!(problems.concat().contains("`chmod go-w`"), "{problems:?}");
            set(below, 0o755);
        }
        home(&at, 64_001);
        set("pods", 0o2775);
        let problems = look(folder.path()).1;
        assert_eq!(problems, [] as [&str; 0], "a user and his group");
    }

    #[test]
    fn what_somebody_else_could_exchange_is_not_served() {
        let check = |prepare: &dyn Fn(&Path), why: &str| {
            let folder = tempfile::tempdir().unwrap();
            let at = folder.path().join("home/alice/one");
            home(&at, 64_001);
            chown(at.parent().unwrap(), Some(64_001), None).unwrap();
            assert_eq!(look(folder.path()).0.len(), 1);
            prepare(&at);
            let (homes, problems) = look(folder.path());
            assert_eq!(homes, []);
            assert!(problems.concat().contains(why), "{why}: {problems:?}");
        };
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        check(
            &|at| chown(at.parent().unwrap(), Some(64_002), None).unwrap(),
            "above it to user 64002",
        );
        check(&|at| home(at, 0), "above it to user 64001");
        check(&|at| mode(at.parent().unwrap(), 0o777), "others may write");
        check(&|at| mode(at, 0o777), "others may write to it: `chmod o-w`");
        check(&|at| mode(&at.join("pods"), 0o1777), "write to its pods");
        check(
            &|at| hostfiles::replace(&at.join("plugins.yaml"), b"", 0o644).map_or((), |_| ()),
            "its plugins.yaml does not belong",
        );
        check(
            &|at| chown(at.join("pods"), Some(64_002), None).unwrap(),
            "does not belong",
        );
        check(
            &|at| {
                fs::remove_dir(at.join("pods")).unwrap();
                symlink("/tmp", at.join("pods")).unwrap();
            },
            "is a link",
        );
    }
}
