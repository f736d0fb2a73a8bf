//! The address of a unix socket by its path, however long that is: the kernel takes 107 bytes, and host homes lie deep.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// How long a path may be, in bytes.
const PATH_BYTES_MAX: usize = 107;

/// A path that the kernel takes for a socket, as long as this lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    /// The folder, where the path leads through it.
    _folder: Option<File>,
}

impl SocketPath {
    /// The same file by a path that is short enough.
    ///
    /// # Errors
    /// The path is too long, and its folder cannot be opened, or the name alone is too long.
    pub fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = File::from(open(folder, flags, Mode::empty())?);
        let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        Ok(Self {
            path: short.join(name),
            _folder: Some(folder),
        })
    }

    /// The short path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
