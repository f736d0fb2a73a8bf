//! The directory in which the groups of units are made: `simplenetes`, in or beside our own group.
//!
//! In version 2 a group that hands controllers down may hold no process itself, and a service manager that
//! starts the daemon again puts it into the group of its service. So the directory lies *beside* the daemon's
//! group; only where nothing may be made there, and no service manager comes back, below it, and then the daemon
//! moves into a leaf of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::layout::Place;
use super::{Controller, GroupError, Version};

/// The group whose children are the groups of units.
const ROOM: &str = "simplenetes";
/// The group in which that of a service has the name of the service, see [`rooms`].
const SLICE: &str = "simplenetes.slice";
const SERVICE: &str = ".service";
/// The group of the daemon where it has to leave its own.
pub(super) const LEAF: &str = "daemon";
/// The processes of a group.
pub(super) const PROCESSES: &str = "cgroup.procs";
/// What a group has, and what it hands down to those below.
const CONTROLLERS: &str = "cgroup.controllers";
pub(super) const HANDED_DOWN: &str = "cgroup.subtree_control";

/// How often a group is cleared of processes that start others meanwhile.
const TRIES_MAX: u32 = 10;

/// Makes the directory, with these controllers for the groups in it.
pub(super) fn open(place: &Place, controllers: &[Controller]) -> Result<PathBuf, GroupError> {
    let mut opened = Err(GroupError::Outside(place.top.clone()));
    for above in above(place) {
        let rooms = rooms(&above, place);
        opened = match place.version {
            Version::V1 => make_all(&rooms),
            Version::V2 => hand_down(&above, &rooms, &place.own, controllers),
        }
        .and_then(writable);
        if opened.is_ok() {
            break;
        }
    }
    opened.map_err(|error| error.in_place_of(&place.own))
}

/// The directories as they may be, whether they exist or not.
pub(super) fn possible(place: &Place) -> impl Iterator<Item = PathBuf> {
    above(place).filter_map(|above| rooms(&above, place).pop())
}

/// The directories down to that of the groups. systemd files what a process writes to its journal under the
/// first name in its group that is no slice: what stands beside a service still belongs to that.
fn rooms(above: &Path, place: &Place) -> Vec<PathBuf> {
    let is_beside = place.version == Version::V2 && above != place.own;
    match service(&place.own).filter(|_| is_beside) {
        Some(service) => {
            let slice = above.join(SLICE);
            vec![slice.clone(), slice.join(service)]
        }
        None => vec![above.join(ROOM)],
    }
}

/// Where the directory may lie, the best first. Below a service of systemd it may not: with a unit in there the
/// service could not be started again (219/CGROUP, seen with systemd 252).
fn above(place: &Place) -> impl Iterator<Item = PathBuf> {
    let is_unified = place.version == Version::V2;
    let beside = (is_unified && place.own != place.top)
        .then(|| place.own.parent().map(Path::to_owned))
        .flatten();
    let below = (!is_unified || service(&place.own).is_none()).then(|| place.own.clone());
    beside.into_iter().chain(below)
}

/// The name of a group that is that of a service.
fn service(group: &Path) -> Option<&OsStr> {
    let name = group.file_name()?;
    name.to_string_lossy().ends_with(SERVICE).then_some(name)
}

fn hand_down(
    above: &Path,
    rooms: &[PathBuf],
    own: &Path,
    controllers: &[Controller],
) -> Result<PathBuf, GroupError> {
    let controllers: Vec<&str> = controllers.iter().map(|held| held.as_str()).collect();
    let given = words(&above.join(CONTROLLERS))?;
    let is_given = |name: &str| given.iter().any(|given| given == name);
    if let Some(missing) = controllers.iter().find(|name| !is_given(name)) {
        return Err(GroupError::NotGiven {
            controller: (*missing).to_owned(),
            place: above.to_owned(),
        });
    }
    // A process can only be moved by those who may write this file of the group above both places.
    writable(above.join(PROCESSES))?;
    enable(above, own, &controllers)?;
    for room in rooms {
        enable(&make(room)?, own, &controllers)?;
    }
    make_all(rooms)
}

/// What somebody else has made is there without being ours.
fn writable(path: PathBuf) -> Result<PathBuf, GroupError> {
    access(&path, Access::WRITE_OK)
        .map_err(|error| GroupError::refused("write", &path)(error.into()))?;
    Ok(path)
}

/// Makes directories that lie in each other. Gives the last.
fn make_all(groups: &[PathBuf]) -> Result<PathBuf, GroupError> {
    let none = PathBuf::new();
    groups.iter().try_fold(none, |_, group| make(group))
}

/// Hands these controllers down to the groups below. Our own group is left for that.
fn enable(group: &Path, own: &Path, controllers: &[&str]) -> Result<(), GroupError> {
    let file = group.join(HANDED_DOWN);
    let held = words(&file)?;
    let is_held = |name: &str| held.iter().any(|held| held == name);
    let missing = controllers.iter().filter(|name| !is_held(name));
    let line: Vec<String> = missing.map(|name| format!("+{name}")).collect();
    if line.is_empty() {
        return Ok(());
    }
    let line = line.join(" ");
    for _ in 0..TRIES_MAX {
        match write(&file, &line) {
            Err(error) if is_busy(&error) && group == own => leave(own)?,
            written => return written.map_err(GroupError::refused("write", &file)),
        }
    }
    write(&file, &line).map_err(GroupError::refused("write", &file))
}

/// Moves every process of the group into a leaf of its own.
fn leave(own: &Path) -> Result<(), GroupError> {
    let leaf = make(&own.join(LEAF))?.join(PROCESSES);
    for process in words(&own.join(PROCESSES))? {
        match write(&leaf, &process) {
            // It has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
            moved => moved.map_err(GroupError::refused("move processes by", &leaf))?,
        }
    }
    Ok(())
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::BUSY.raw_os_error())
}

/// Makes a group that may be there already.
pub(super) fn make(group: &Path) -> Result<PathBuf, GroupError> {
    match fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(GroupError::refused("make the control group", group)(error))
        }
        _ => Ok(group.to_owned()),
    }
}

/// Writes a file of the kernel: in one piece and in its place.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    File::options()
        .write(true)
        .open(file)?
        .write_all(text.as_bytes())
}

fn words(file: &Path) -> Result<Vec<String>, GroupError> {
    let text = fs::read_to_string(file).map_err(GroupError::refused("read", file))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, own: &str, expected: &[&str]) {
        let place = Place {
            version,
            top: "/cg".into(),
            own: own.into(),
        };
        let found: Vec<_> = possible(&place).collect();
        let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(found, expected, "{own}");
    }

    #[test]
    fn the_groups_lie_beside_the_daemon_or_below_it() {
        check(
            Version::V2,
            "/cg/system.slice/sns.service",
            &["/cg/system.slice/simplenetes.slice/sns.service"],
        );
        check(
            Version::V2,
            "/cg/user-7/daemon",
            &["/cg/user-7/simplenetes", "/cg/user-7/daemon/simplenetes"],
        );
        check(
            Version::V2,
            "/cg/own.service/sub",
            &[
                "/cg/own.service/simplenetes",
                "/cg/own.service/sub/simplenetes",
            ],
        );
        check(Version::V2, "/cg", &["/cg/simplenetes"]);
        check(
            Version::V1,
            "/cg/system.slice/sns.service",
            &["/cg/system.slice/sns.service/simplenetes"],
        );
    }
}
