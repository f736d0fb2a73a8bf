//! The way from a host home to the directory of a ramdisk, which is the owner's: nothing on it is trusted.
//!
//! Each component is opened from the one before it, without following a link and without entering another
//! file system, and must belong to the owner. What has been opened stays the same directory, whatever is
//! renamed meanwhile.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use names::{ReleaseId, VolumeName};
use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, openat2, statx,
};
use rustix::io::Errno;

/// Why root does not do what a worker asks for.
#[derive(Debug, thiserror::Error)]
pub enum RamdiskError {
    /// A directory on the way cannot be opened.
    #[error("{place} cannot be used for a ramdisk: {why}", place = .place.display())]
    Place {
        /// The path below the host home.
        place: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Something that is no ramdisk of this owner is mounted there.
    #[error("something else is mounted at {}", .0.display())]
    Foreign(PathBuf),
    /// It would be too much.
    #[error(
        "{wanted} MiB are too much: {used} of {limit} MiB of this owner's ramdisks are in use; the limit is set with `--ramdisk-max`"
    )]
    TooMuch {
        /// What was asked for, in MiB.
        wanted: u64,
        /// What there is already, in MiB.
        used: u64,
        /// What the owner may have, in MiB.
        limit: u64,
    },
    /// Somebody renamed directories meanwhile.
    #[error("the directory was moved while the ramdisk was mounted")]
    Moved,
    /// The kernel refuses.
    #[error("cannot {what}: {source}")]
    Kernel {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl RamdiskError {
    pub(super) fn kernel(what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |error| Self::Kernel {
            what,
            source: error.into(),
        }
    }
}

/// The directory `ramdisk/NAME` of a release.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory, or the root of what is mounted there.
    pub(super) directory: OwnedFd,
    /// Its path below the host home, for people.
    pub(super) path: PathBuf,
    /// The mount, when its root was opened.
    pub(super) mount: Option<u64>,
}

/// Opens the directory of a ramdisk from its host home.
pub(super) fn open(
    home: impl AsFd,
    owner: u32,
    release: &ReleaseId,
    name: &VolumeName,
) -> Result<Place, RamdiskError> {
    let version = release.version.to_string();
    let pod = release.pod.to_string();
    let mut path = PathBuf::new();
    let mut directory: Option<OwnedFd> = None;
    for component in ["pods", &pod, "release", &version, "ramdisk"] {
        path.push(component);
        let from = directory.as_ref().map_or(home.as_fd(), AsFd::as_fd);
        directory = Some(step(from, component, owner, ResolveFlags::NO_XDEV, &path)?.0);
    }
    path.push(name.as_str());
    let from = directory.as_ref().map_or(home.as_fd(), AsFd::as_fd);
    // The ramdisk itself may be mounted already.
    let (directory, mount) = step(from, name.as_str(), owner, ResolveFlags::empty(), &path)?;
    Ok(Place {
        directory,
        path,
        mount,
    })
}

fn step(
    from: impl AsFd,
    component: &str,
    owner: u32,
    more: ResolveFlags,
    path: &std::path::Path,
) -> Result<(OwnedFd, Option<u64>), RamdiskError> {
    let refuse = |why: String| RamdiskError::Place {
        place: path.to_owned(),
        why,
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | more;
    let directory = openat2(from, component, flags, Mode::empty(), inside)
        .map_err(|error| refuse(meaning(error)))?;
    let seen = look(&directory).map_err(|error| refuse(error.to_string()))?;
    if seen.owner != owner {
        return Err(refuse(format!(
            "it belongs to user {}, not to the owner of the host home",
            seen.owner
        )));
    }
    Ok((directory, seen.mount))
}

fn meaning(error: Errno) -> String {
    match error {
        Errno::LOOP => "it is a link".into(),
        Errno::XDEV => "another file system is mounted there".into(),
        Errno::NOTDIR => "it is no directory".into(),
        Errno::NOENT => "it does not exist".into(),
        other => other.to_string(),
    }
}

pub(super) struct Seen {
    owner: u32,
    /// The mount whose root this is.
    pub(super) mount: Option<u64>,
}

/// Looks at an open directory, without asking a file system that may not answer.
pub(super) fn look(directory: impl AsFd) -> rustix::io::Result<Seen> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let seen = statx(directory, "", flags, StatxFlags::UID | StatxFlags::MNT_ID)?;
    let is_root = seen.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok(Seen {
        owner: seen.stx_uid,
        mount: is_root.then_some(seen.stx_mnt_id),
    })
}
