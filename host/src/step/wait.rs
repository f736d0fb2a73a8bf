//! Waiting for all that can happen to a step at once: output, its end, a word of the driver.
//!
//! The program is not collected at its end, so that its number stays its own until what it has left behind
//! is ended.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::process::ProcessId;

/// So much of a stream is taken at once: what a pipe holds.
const CHUNK_BYTES: usize = 65_536;
/// A wait that the kernel refuses, because it has no memory, is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// What has happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ready {
    /// The program has ended.
    pub(super) end: bool,
    /// The driver says something, or is gone.
    pub(super) driver: bool,
    /// Standard output and standard error have something, or have ended.
    pub(super) pipes: [bool; 2],
}

/// One stream of the program.
pub(super) struct Pipe {
    /// None when it has ended.
    stream: Option<File>,
    chunk: Vec<u8>,
}

impl Pipe {
    pub(super) fn new(stream: PipeReader) -> Self {
        Self {
            stream: Some(File::from(OwnedFd::from(stream))),
            chunk: vec![0; CHUNK_BYTES],
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// What is there; nothing when the stream has ended. Only for one that is ready, or it waits.
    pub(super) fn read(&mut self) -> &[u8] {
        let Some(stream) = &mut self.stream else {
            return &[];
        };
        let length = match stream.read(&mut self.chunk) {
            Ok(length) => Some(length).filter(|length| *length > 0),
            Err(error) if error.kind() == ErrorKind::Interrupted => return &[],
            Err(_) => None,
        };
        if length.is_none() {
            self.stream = None;
        }
        self.chunk.get(..length.unwrap_or(0)).unwrap_or_default()
    }
}

/// What becomes readable when this child has ended.
pub(super) fn end_of(child: ProcessId) -> io::Result<OwnedFd> {
    let ended = || io::Error::new(ErrorKind::NotFound, "it has ended");
    child.open()?.ok_or_else(ended)
}

/// The status of a child that has ended: 128 + signal number when a signal ended it.
pub(super) fn status_of(child: ProcessId) -> i32 {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let status = child
        .as_pid()
        .and_then(|pid| waitid(WaitId::Pid(pid), options).ok().flatten());
    status.map_or(1, |status| {
        let by_signal = status.terminating_signal().map(|signal| 128 + signal);
        status.exit_status().or(by_signal).unwrap_or(1)
    })
}

/// Waits until something has happened, at most until then.
pub(super) fn until(
    due: Option<Instant>,
    end: &OwnedFd,
    driver: Option<BorrowedFd<'_>>,
    pipes: &[Pipe; 2],
) -> Ready {
    let [stdout, stderr] = pipes
        .each_ref()
        .map(|pipe| pipe.stream.as_ref().map(File::as_fd));
    let [end, driver, stdout, stderr] = look([Some(end.as_fd()), driver, stdout, stderr], due);
    Ready {
        end,
        driver,
        pipes: [stdout, stderr],
    }
}

/// Waits until a stream has something, at most until then.
pub(super) fn for_output(due: Instant, pipes: &[Pipe; 2]) -> Ready {
    Ready {
        pipes: look(
            pipes
                .each_ref()
                .map(|pipe| pipe.stream.as_ref().map(File::as_fd)),
            Some(due),
        ),
        ..Ready::default()
    }
}

/// Which of these are ready, at most until then none.
fn look<const N: usize>(what: [Option<BorrowedFd<'_>>; N], due: Option<Instant>) -> [bool; N] {
    let mut watched: Vec<PollFd<'_>> = what
        .iter()
        .flatten()
        .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
        .collect();
    let left = due.map(|due| due.saturating_duration_since(Instant::now()));
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut watched, timeout.as_ref()) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return [false; N],
        Err(_) => {
            thread::sleep(TRY_AGAIN);
            return [false; N];
        }
    }
    let mut ready = watched.iter().map(|watched| !watched.revents().is_empty());
    what.map(|descriptor| descriptor.is_some() && ready.next().unwrap_or(false))
}
