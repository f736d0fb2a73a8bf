//! Mounts and unmounts the ramdisks of one host home, as root.
//!
//! Whoever asks is not trusted: the home was opened beforehand, the way to the directory is walked anew for
//! each request (`place`), and the sum per owner is bounded. A ramdisk that leaves the table of mounts
//! without having been emptied may live on in a process that holds it, so it stays on the owner's account.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use names::{ReleaseId, VolumeName};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_string, fsmount, fsopen, fspick,
    move_mount, unmount,
};

use super::place::{self, Place, RamdiskError};
use super::table::{self, Line};

/// A file needs room beside its content, which the size does not count: so many files per MiB.
const FILES_PER_MIB: u64 = 256;

/// The accounts of all owners: what was mounted and has not been seen empty at its end.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeMap<String, Account>>);

#[derive(Debug, Clone, Copy)]
struct Account {
    owner: u32,
    size_kib: u64,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the ramdisks of one host home.
#[derive(Debug)]
pub struct Keeper {
    home: OwnedFd,
    owner: u32,
    group: u32,
    limit_mib: u32,
    ledger: Arc<Ledger>,
}

impl Keeper {
    /// For the home that was opened, of this owner.
    #[must_use]
    pub fn new(home: OwnedFd, owner: u32, group: u32, limit_mib: u32, ledger: Arc<Ledger>) -> Self {
        Self {
            home,
            owner,
            group,
            limit_mib,
            ledger,
        }
    }

    /// True when this process may mount at all: in a container even root may not.
    #[must_use]
    pub fn may_mount() -> bool {
        fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).is_ok()
    }

    /// Mounts a ramdisk at its directory, which must exist. One that is there gets the size.
    ///
    /// # Errors
    /// The directory is not the owner's, the sum too large, or the kernel refuses. Nothing is mounted then.
    pub fn create(
        &self,
        release: &ReleaseId,
        name: &VolumeName,
        size_mib: u32,
    ) -> Result<(), RamdiskError> {
        // Held to the end: two requests must not fit into the same room.
        let mut ledger = self.ledger.lock();
        let place = place::open(&self.home, self.owner, release, name)?;
        let lines = read_table()?;
        let size_kib = u64::from(size_mib.max(1)) * 1024;
        let there = self.mounted(&place, &lines)?;
        if there.is_some_and(|line| line.size_kib == size_kib) {
            return Ok(());
        }
        let device = there.map(|line| line.device.clone());
        self.check_sum(&ledger, &lines, device.as_deref(), size_kib)?;
        if device.is_some() {
            resize(&place, size_kib)?;
        } else {
            self.mount(&place, release, name, size_kib)?;
        }
        // The table tells the number of the new file system.
        for line in read_table()? {
            if line.owner == self.owner {
                let account = Account {
                    owner: line.owner,
                    size_kib: line.size_kib,
                };
                ledger.insert(line.device, account);
            }
        }
        Ok(())
    }

    /// Unmounts a ramdisk. One that is not there is fine.
    ///
    /// # Errors
    /// The directory is not the owner's, something else is mounted there, or the kernel refuses.
    pub fn remove(&self, release: &ReleaseId, name: &VolumeName) -> Result<(), RamdiskError> {
        let mut ledger = self.ledger.lock();
        let place = place::open(&self.home, self.owner, release, name)?;
        let lines = read_table()?;
        let Some(line) = self.mounted(&place, &lines)? else {
            return Ok(());
        };
        // Wherever else it is still held, it cannot grow from now on. When that fails it holds something.
        let is_empty = reconfigure(&place.directory, &[("size", &4096), ("nr_inodes", &1)]).is_ok();
        unmount(through(&place.directory), UnmountFlags::DETACH)
            .map_err(RamdiskError::kernel("unmount the ramdisk"))?;
        if is_empty {
            ledger.remove(&line.device);
        }
        Ok(())
    }

    /// What is mounted at the place, if it is a ramdisk of this owner.
    fn mounted<'a>(
        &self,
        place: &Place,
        lines: &'a [Line],
    ) -> Result<Option<&'a Line>, RamdiskError> {
        let Some(mount) = place.mount else {
            return Ok(None);
        };
        lines
            .iter()
            .find(|line| line.mount == mount && line.owner == self.owner)
            .map(Some)
            .ok_or_else(|| RamdiskError::Foreign(place.path.clone()))
    }

    /// What the owner has: what is mounted, and what was and may still be held. `except` is replaced.
    fn check_sum(
        &self,
        ledger: &BTreeMap<String, Account>,
        lines: &[Line],
        except: Option<&str>,
        wanted_kib: u64,
    ) -> Result<(), RamdiskError> {
        let mut sizes: BTreeMap<&str, u64> = ledger
            .iter()
            .filter(|(_, account)| account.owner == self.owner)
            .map(|(device, account)| (device.as_str(), account.size_kib))
            .collect();
        for line in lines.iter().filter(|line| line.owner == self.owner) {
            sizes.insert(&line.device, line.size_kib);
        }
        if let Some(device) = except {
            sizes.remove(device);
        }
        let used_kib: u64 = sizes.values().sum();
        if used_kib.saturating_add(wanted_kib) > u64::from(self.limit_mib) * 1024 {
            return Err(RamdiskError::TooMuch {
                wanted: wanted_kib / 1024,
                used: used_kib.div_ceil(1024),
                limit: self.limit_mib.into(),
            });
        }
        Ok(())
    }

    fn mount(
        &self,
        place: &Place,
        release: &ReleaseId,
        name: &VolumeName,
        size_kib: u64,
    ) -> Result<(), RamdiskError> {
        let system = self
            .file_system(size_kib)
            .map_err(RamdiskError::kernel("make the ramdisk"))?;
        // Programs in it may be executed: the owner can execute what he likes anyway.
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let mounted = fsmount(system, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(RamdiskError::kernel("make the ramdisk"))?;
        let to_directories =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&mounted, "", &place.directory, "", to_directories)
            .map_err(RamdiskError::kernel("mount the ramdisk"))?;
        // It lies on the directory that was opened, which may be somewhere else by now.
        let own = place::look(&mounted).ok().and_then(|seen| seen.mount);
        let found = place::open(&self.home, self.owner, release, name).map(|place| place.mount);
        if own.is_some() && found.is_ok_and(|found| found == own) {
            return Ok(());
        }
        // Nobody could see it before, so it is empty; an error means that it has gone already.
        let _ = unmount(through(&mounted), UnmountFlags::DETACH);
        Err(RamdiskError::Moved)
    }

    fn file_system(&self, size_kib: u64) -> rustix::io::Result<OwnedFd> {
        let system = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&system, "source", table::SOURCE)?;
        // As /tmp: a container may have another user. The directory that it lies in is closed to all others.
        fsconfig_set_string(&system, "mode", "1777")?;
        set(&system, "uid", &self.owner)?;
        set(&system, "gid", &self.group)?;
        for (key, value) in bounds(size_kib) {
            set(&system, key, &value)?;
        }
        fsconfig_create(&system)?;
        Ok(system)
    }
}

fn bounds(size_kib: u64) -> [(&'static str, u64); 2] {
    [
        ("size", size_kib * 1024),
        ("nr_inodes", size_kib / 1024 * FILES_PER_MIB),
    ]
}

fn resize(place: &Place, size_kib: u64) -> Result<(), RamdiskError> {
    let [size, files] = bounds(size_kib);
    let options: [(&str, &dyn Display); 2] = [(size.0, &size.1), (files.0, &files.1)];
    reconfigure(&place.directory, &options).map_err(RamdiskError::kernel(
        "change the size of the ramdisk to less than it holds",
    ))
}

fn reconfigure(root: &OwnedFd, options: &[(&str, &dyn Display)]) -> rustix::io::Result<()> {
    let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
    let system = fspick(root, "", flags)?;
    for (key, value) in options {
        set(&system, key, value)?;
    }
    fsconfig_reconfigure(&system)
}

fn set(system: &OwnedFd, key: &str, value: &(impl Display + ?Sized)) -> Result<(), Errno> {
    fsconfig_set_string(system, key, value.to_string())
}

/// A path that means the open directory and nothing else.
fn through(directory: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd())
}

fn read_table() -> Result<Vec<Line>, RamdiskError> {
    table::read().map_err(|source| RamdiskError::Kernel {
        what: "read the table of mounts",
        source,
    })
}
