//! What a foreign pod says of itself, in its `.pod.status`: bounded, parsed strictly, believed as far as
//! its process lives. The file belongs to the program; it is never written here.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use hostfiles::{Format as _, PodPhase, PodStatus, ReleaseDir};
use rustix::fs::OFlags;

use crate::process::{ProcessId, started_s};

/// A longer status is none.
const BYTES_MAX: u64 = 65_536;
/// What was not written again for so long leads no traffic any more.
pub(super) const FRESH_S: u64 = 600;
/// A process that was started so much later than the status was written is another one, which has got the
/// number: clocks may be corrected by less.
const SLACK_S: u64 = 5;

/// In which state a foreign pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Look {
    /// It says nothing.
    #[default]
    Nothing,
    /// What it says cannot be understood.
    Unreadable,
    /// It is up, or on its way.
    Up,
    /// It says that it is up, and its process is gone.
    Lost,
    /// It has ended.
    Exited,
    /// It was removed.
    Removed,
}

/// Which file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    written: (i64, i64),
}

impl Stamp {
    fn written_s(&self) -> u64 {
        u64::try_from(self.written.0).unwrap_or_default()
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// In which state it is.
    pub(super) look: Look,
    /// Which file says so; none when there is none.
    pub(super) stamp: Option<Stamp>,
    /// The process that it names, if that lives.
    pub(super) process: Option<ProcessId>,
    /// Until when it may get traffic, in milliseconds since the Unix epoch; none when it may not.
    pub(super) ready_until_ms: Option<u64>,
    /// Why it cannot be understood.
    pub(super) problem: Option<String>,
}

impl Seen {
    /// What the file says, whose reader has this time.
    #[must_use]
    pub(super) fn read(path: &Path, now_s: u64) -> Self {
        match read_bounded(path) {
            Ok((stamp, text)) => Self {
                stamp: Some(stamp),
                ..Self::of(&text, stamp.written_s(), now_s)
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => Self::unreadable(format!("cannot read {}: {error}", path.display())),
        }
    }

    fn of(text: &str, written_s: u64, now_s: u64) -> Self {
        let status = match PodStatus::parse(text) {
            Ok(status) => status,
            Err(error) => return Self::unreadable(error.to_string()),
        };
        let written_s = written_s.max(status.updated);
        let process = status.pid.and_then(|pid| process_of(pid, written_s));
        let look = match status.status {
            PodPhase::Exited => Look::Exited,
            PodPhase::Removed => Look::Removed,
            PodPhase::Created | PodPhase::Starting | PodPhase::Running
                if status.pid.is_some() && process.is_none() =>
            {
                Look::Lost
            }
            PodPhase::Created | PodPhase::Starting | PodPhase::Running => Look::Up,
        };
        let is_ready = status.readiness && status.status == PodPhase::Running && process.is_some();
        // What claims to be written later than now was written now at the latest.
        let until_s = status.updated.min(now_s).saturating_add(FRESH_S);
        Self {
            look,
            process: process.filter(|_| look == Look::Up),
            ready_until_ms: is_ready.then(|| until_s.saturating_mul(1_000)),
            ..Self::default()
        }
    }

    fn unreadable(problem: String) -> Self {
        Self {
            look: Look::Unreadable,
            problem: Some(problem),
            ..Self::default()
        }
    }

    /// True when it may get traffic now.
    #[must_use]
    pub(super) fn is_ready(&self, now_ms: u64) -> bool {
        self.look == Look::Up && self.ready_until_ms.is_some_and(|until| now_ms < until)
    }
}

/// True when the pod in this release says that it may get traffic, and its process lives.
pub(crate) fn is_ready(release: &ReleaseDir, now_s: u64) -> bool {
    let seen = Seen::read(&release.status(), now_s);
    seen.is_ready(now_s.saturating_mul(1_000))
}

/// Neither a link nor a pipe, which would hold up the reader, and no more than there should be.
fn read_bounded(path: &Path) -> io::Result<(Stamp, String)> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > BYTES_MAX {
        let message = format!("it is no file of at most {BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text)?;
    let stamp = Stamp {
        inode: meta.ino(),
        bytes: meta.len(),
        written: (meta.mtime(), meta.mtime_nsec()),
    };
    Ok((stamp, text))
}

/// The process of this number, if it lives and is the one that was meant when the status was written.
fn process_of(pid: u32, written_s: u64) -> Option<ProcessId> {
    let process = ProcessId::of(pid)
        .ok()
        .filter(|process| process.is_alive())?;
    let is_later =
        started_s(process).is_ok_and(|started| started > written_s.saturating_add(SLACK_S));
    (!is_later).then_some(process)
}
