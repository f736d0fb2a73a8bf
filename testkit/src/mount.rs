//! A small disk of memory that is mounted for a test: one that is full, or cannot be written any more. It needs root.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

/// The name of the file that fills a disk.
const FILLING: &str = ".filling";

/// Mounted until it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of so many bytes on a directory.
    ///
    /// # Errors
    /// This is not root, or the directory is missing.
    pub fn mount(path: &Path, bytes: u64) -> Result<Self> {
        let options = std::ffi::CString::new(format!("size={bytes},mode=0755"))?;
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), &*options)
            .context("cannot mount a disk of memory: this needs root")?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Fills it until so many bytes are left, in whole pages.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn fill_but(&self, left: u64) -> Result<()> {
        self.empty()?;
        let disk = rustix::fs::statvfs(&self.path)?;
        let free = disk.f_bavail * disk.f_frsize;
        let mut file = File::create(self.path.join(FILLING))?;
        let page = [b'x'; 4096];
        for _ in 0..free.saturating_sub(left) / 4096 {
            file.write_all(&page)?;
        }
        Ok(())
    }

    /// Takes away what fills it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn empty(&self) -> Result<()> {
        match std::fs::remove_file(self.path.join(FILLING)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// From now on it can only be read, or can be written again.
    ///
    /// # Errors
    /// Somebody has a file of it open for writing.
    pub fn set_read_only(&self, is_read_only: bool) -> Result<()> {
        let flags = match is_read_only {
            true => MountFlags::RDONLY,
            false => MountFlags::empty(),
        };
        Ok(mount_remount(&self.path, flags, "")?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has it open keeps it until he ends.
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}
