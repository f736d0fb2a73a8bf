//! Groups that root hands over to the owner of a host home, so that a worker without privileges can make
//! groups for units; and the entering of groups.
//!
//! Handed over are the directory and the files that the documents of the kernel name for it, nothing that
//! limits the whole.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid, chown};

use super::layout::{Layout, Place};
use super::room::{self, HANDED_DOWN, LEAF, PROCESSES};
use super::{Controller, GroupError, Version};

/// Files that the new owner may write, besides the one of the processes.
const FILES_V1: [&str; 1] = ["tasks"];
const FILES_V2: [&str; 2] = [HANDED_DOWN, "cgroup.threads"];

/// Makes a group for this user in each hierarchy that has one of the controllers. Gives the files by which
/// a process enters them.
///
/// # Errors
/// A group cannot be made or given away.
pub(crate) fn delegate(uid: u32, gid: u32) -> Result<Vec<PathBuf>, GroupError> {
    let layout = Layout::of_this_process()?;
    let places = layout.places();
    let entrances = places.iter().map(|(place, controllers)| {
        let room = room_with_any(place, controllers)?;
        let group = room::make(&room.join(format!("user-{uid}")))?;
        let give = |group: &Path, files: &[&str]| {
            let inside = files.iter().map(|file| group.join(file));
            inside
                .chain([group.join(PROCESSES), group.to_owned()])
                .try_for_each(|path| give(&path, uid, gid))
        };
        match place.version {
            Version::V1 => {
                give(&group, &FILES_V1)?;
                Ok(group.join(PROCESSES))
            }
            // The worker stands in a leaf: the group itself hands controllers down.
            Version::V2 => {
                give(&group, &FILES_V2)?;
                let leaf = room::make(&group.join(LEAF))?;
                give(&leaf, &[])?;
                Ok(leaf.join(PROCESSES))
            }
        }
    });
    entrances.collect()
}

/// A controller that the machine does not hand down is missing to the worker too, who says so.
fn room_with_any(place: &Place, controllers: &[Controller]) -> Result<PathBuf, GroupError> {
    match room::open(place, controllers) {
        Err(GroupError::NotGiven { controller, .. }) => {
            let others = controllers
                .iter()
                .filter(|known| known.as_str() != controller);
            room_with_any(place, &others.copied().collect::<Vec<_>>())
        }
        opened => opened,
    }
}

fn give(path: &Path, uid: u32, gid: u32) -> Result<(), GroupError> {
    let given = chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    given.map_err(|error| GroupError::refused("give away", path)(error.into()))
}

/// Moves this process into the groups with these files.
///
/// # Errors
/// One of them does not take it; the message names which.
pub(crate) fn enter(entrances: &[PathBuf]) -> io::Result<()> {
    for file in entrances {
        // `0` is whoever writes it.
        room::write(file, "0").map_err(|error| {
            let message = format!(
                "cannot enter the control group by {}: {error}",
                file.display()
            );
            io::Error::new(error.kind(), message)
        })?;
    }
    Ok(())
}
