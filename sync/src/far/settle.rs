//! Waits for the confirmation of a sync, with its lock, in a process of its own that the connection of the sync does
//! not take with it.
//!
//! Whoever confirms comes over another connection, so that it is shown that the host can still be reached. When the
//! time is over the host goes back by itself.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hostfiles::HostHome;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::FarError;
use super::confirm::{self, Unconfirmed};
use super::effects::{Effects, Unhindered};
use super::journal::SyncDir;

/// The name of the socket at which a confirmation is taken.
const SOCKET: &str = "settle.sock";

/// Longest line that is read from one who confirms, in bytes, and how long he may take for it.
const LINE_BYTES_MAX: u64 = 256;
const LINE_WITHIN: Duration = Duration::from_secs(5);

const STAYS: &str = "stays";

/// What became of a sync that waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was confirmed.
    Stays,
    /// Nobody confirmed it in time, and the host is as before.
    WentBack,
}

/// Why nobody can wait.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// No sync waits here.
    #[error("no sync of {} waits to be confirmed", .0.display())]
    Nothing(PathBuf),
    /// The place where a confirmation is taken cannot be made.
    #[error("cannot wait for the confirmation of a sync")]
    Wait(#[source] io::Error),
    /// The host cannot go back, or cannot stay.
    #[error(transparent)]
    Far(#[from] FarError),
}

/// Waits for the confirmation, then lets the sync stay or goes back. `_lock` is the lock of the host home, which ends
/// with this call; `ready` is called when a confirmation can be taken.
///
/// # Errors
/// Nobody can wait, or the host cannot be changed: then whoever takes the lock next goes back.
pub fn settle(home: &HostHome, _lock: File, ready: impl FnOnce()) -> Result<Settled, SettleError> {
    let waiting = Unconfirmed::read(home)
        .ok_or_else(|| SettleError::Nothing(home.path().to_owned()))?
        .confirmation;
    let listener = listen(home).map_err(SettleError::Wait)?;
    ready();
    let until = Instant::now() + Duration::from_secs(waiting.seconds.into());
    let mut effects = Effects::new(Box::new(Unhindered));
    while let Some(mut visitor) = next(&listener, until).map_err(SettleError::Wait)? {
        if line(&visitor).is_ok_and(|line| line == waiting.token) {
            confirm::stay(home, &mut effects).map_err(FarError::Unfinished)?;
            // It stays, whether he hears it or not.
            let _ = visitor.write_all(format!("{STAYS}\n").as_bytes());
            close(home);
            return Ok(Settled::Stays);
        }
    }
    close(home);
    let seconds = waiting.seconds;
    let why = format!("nobody confirmed it over another connection within {seconds} s");
    confirm::revert(home, &mut effects, &why)?;
    Ok(Settled::WentBack)
}

/// Confirms the sync that waits. Gives false when none waits for this.
///
/// # Errors
/// The answer did not come.
pub(crate) fn confirm(home: &HostHome, token: &str) -> io::Result<bool> {
    let connected = with_socket(home, UnixStream::connect);
    let Ok(mut stream) = connected else {
        return Ok(false);
    };
    stream.set_read_timeout(Some(LINE_WITHIN * 4))?;
    stream.write_all(format!("{token}\n").as_bytes())?;
    Ok(line(&stream)? == STAYS)
}

fn listen(home: &HostHome) -> io::Result<UnixListener> {
    close(home);
    let listener = with_socket(home, UnixListener::bind)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A socket that was left behind refuses everybody, which is right.
fn close(home: &HostHome) {
    let _ = std::fs::remove_file(SyncDir::of(home).path().join(SOCKET));
}

/// The path of a socket may have 107 bytes, that of a host home more.
fn with_socket<T>(home: &HostHome, act: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let directory = File::open(SyncDir::of(home).path())?;
    let short = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    act(PathBuf::from(short))
}

/// The next one who comes in time.
fn next(listener: &UnixListener, until: Instant) -> io::Result<Option<UnixStream>> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut waited = [PollFd::new(listener, PollFlags::IN)];
        match poll(&mut waited, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match listener.accept() {
            Ok((visitor, _)) => {
                visitor.set_nonblocking(false)?;
                visitor.set_read_timeout(Some(LINE_WITHIN))?;
                return Ok(Some(visitor));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn line(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
