//! The parent of a unit's process (`simplenetesd shim`, started by the driver only).
//!
//! It lives in a session of its own and outlives the daemon. It holds the unit's lock, so there are
//! never two of it; it records the process *before* that executes the unit's program; it writes both
//! output streams into the unit's logs; and when the process has ended it ends what is left of it and
//! records the exit. It knows no pod, no policy and no plugin.
//!
//! ```text
//! driver ──spec──▶ shim: lock, log files, spawn gate ──▶ gate: waits
//!                  shim: run/UNIT.json ──────── go ────▶ gate: user, directory, exec ─▶ the program
//! driver ◀─answer─ shim: pumps, waits, sweeps, run/UNIT.exit
//! ```

mod detached;
mod log;
mod record;
mod spec;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::cgroup::{Group, GroupError};
use crate::descendants;
use crate::gate::{Gate, Refusal};
use crate::lock;
use crate::process::{ProcessId, boot_id};
use crate::system::since_epoch;

use detached::Beside;
pub use detached::{DetachError, Detached};
pub(crate) use log::{append as append_to_log, pump};
pub use record::{ExitRecord, RunFiles, RunRecord};
pub(crate) use spec::log_file;
pub use spec::{Answer, ShimSpec};

/// After the process has ended and its descendants are killed, the streams get so long to run dry.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Why a shim could not start its unit.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The driver's request did not arrive whole.
    #[error("the request of the driver cannot be read")]
    Request(#[source] io::Error),
    /// Another shim has the unit.
    #[error("the unit {0} already has a shim: its lock is held")]
    Locked(String),
    /// A directory, file or process could not be made.
    #[error("cannot {0}")]
    Prepare(&'static str, #[source] io::Error),
    /// The program that should start the unit did not.
    #[error(transparent)]
    Detach(DetachError),
    /// The control group that limits the unit could not be made.
    #[error("cannot limit the unit")]
    Limit(#[source] GroupError),
    /// The record of the process could not be written.
    #[error("cannot record the process")]
    Record(#[source] hostfiles::ReplaceError),
}

/// Runs the shim: reads the request from standard input, which is a socket, and answers there.
///
/// # Errors
/// The unit could not be started; the driver has been told.
pub fn run() -> Result<(), ShimError> {
    // Only fails for a leader of a process group, which a shim that the driver started is not.
    let _ = rustix::process::setsid();
    let mut channel = channel(&io::stdin()).map_err(ShimError::Request)?;
    let spec = read_spec(&channel).map_err(ShimError::Request)?;
    match Unit::start(&spec) {
        Ok(unit) => {
            let answer = Answer {
                pid: Some(unit.process.pid),
                error: None,
            };
            answer.send(&mut channel);
            drop(channel);
            release_lock();
            unit.accompany(&spec)
        }
        Err(error) => {
            let answer = Answer {
                pid: None,
                error: Some(with_cause(&error)),
            };
            answer.send(&mut channel);
            Err(error)
        }
    }
}

/// Standard output is the lock of the release: nobody else drives that while a unit is being started. From
/// now on it is the driver's alone.
fn release_lock() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

fn channel(stdin: &impl AsFd) -> io::Result<UnixStream> {
    Ok(UnixStream::from(stdin.as_fd().try_clone_to_owned()?))
}

fn read_spec(channel: &UnixStream) -> io::Result<ShimSpec> {
    let mut line = String::new();
    BufReader::new(channel).read_line(&mut line)?;
    serde_json::from_str(&line).map_err(Into::into)
}

fn with_cause(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_cause(cause)),
        None => error.to_string(),
    }
}

/// A unit whose process exists.
struct Unit {
    files: RunFiles,
    process: ProcessId,
    /// What a detached unit has beside it and is not part of it; none for a unit that is a child.
    beside: Option<Beside>,
    /// Closes when both streams have run dry.
    pumps: mpsc::Receiver<()>,
    /// Why the program could not be executed; the process has ended by itself then.
    refusal: Option<Refusal>,
    /// Held until this process ends.
    _lock: File,
}

impl Unit {
    fn start(spec: &ShimSpec) -> Result<Self, ShimError> {
        let files = RunFiles::of(&spec.release, &spec.unit);
        let prepare = |what| move |error| ShimError::Prepare(what, error);
        fs::create_dir_all(spec.release.run_dir()).map_err(prepare("make the directory `run`"))?;
        fs::create_dir_all(spec.release.log_dir()).map_err(prepare("make the directory `log`"))?;
        let lock = lock(&files, spec)?;
        descendants::adopt_orphans().map_err(prepare("become the parent of orphans"))?;
        files
            .forget()
            .map_err(prepare("remove the records of the last run"))?;
        if let Some(detached) = &spec.detached {
            let forgotten = detached.forget(spec.release.path());
            forgotten.map_err(prepare("remove the file with the process of the last run"))?;
        }
        let group = Grouped::make(spec.group.as_ref())?;
        let (stdout, stdout_end) = io::pipe().map_err(prepare("make a pipe"))?;
        let (stderr, stderr_end) = io::pipe().map_err(prepare("make a pipe"))?;
        let about = [spec.id.to_string(), spec.unit.to_string()];
        let mut gate = Gate::start(&about, stdout_end.into(), stderr_end.into())
            .map_err(prepare("start a process"))?;
        let process = ProcessId::of(gate.child.id())
            .map_err(prepare("read the start time of the process"))?;
        let unfinished = Unfinished(Some(process));
        let mut record = RunRecord {
            process,
            shim: ProcessId::of(std::process::id())
                .map_err(prepare("read the start time of the shim"))?,
            boot: boot_id().map_err(prepare("read the boot id"))?,
            started_ms: u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX),
            start_count: spec.start_count,
            address: spec.address,
            streams: Some([stdout.as_raw_fd(), stderr.as_raw_fd()]),
            refused: false,
            detached: false,
            group: spec.group.clone(),
        };
        files.write_run(&record).map_err(ShimError::Record)?;
        let refusal = gate
            .let_go(&spec.launch)
            .map_err(prepare("hand the program over"))?;
        if refusal.is_some() {
            record.refused = true;
            files.write_run(&record).map_err(ShimError::Record)?;
        }
        let pumps = pump_all(spec, stdout, stderr, refusal.as_ref());
        let mut beside = None;
        if let (Some(detached), None) = (&spec.detached, &refusal) {
            let found = detached.find(spec, process);
            let found = found.map_err(|error| explained(error, spec, &pumps, record.started_ms))?;
            beside = Some(Beside::of(&found, process));
            record.process = found.process;
            record.detached = true;
            files.write_run(&record).map_err(ShimError::Record)?;
        }
        unfinished.keep();
        group.keep();
        Ok(Self {
            files,
            process: record.process,
            beside,
            pumps,
            refusal,
            _lock: lock,
        })
    }

    /// Stays until the process and everything it left behind has ended.
    fn accompany(self, spec: &ShimSpec) -> Result<(), ShimError> {
        let code = match &self.beside {
            Some(beside) => beside.accompany(self.process),
            None => {
                let code = descendants::wait_for(self.process.pid);
                descendants::end_the_rest(self.process);
                Some(code)
            }
        };
        let killed = spec.group.as_ref().and_then(|group| {
            let killed = group.killed_for_memory(code);
            group.dissolve();
            killed
        });
        let _: Result<(), _> = self.pumps.recv_timeout(DRAIN_MAX);
        let ended_ms = u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX);
        let exit = ExitRecord {
            code,
            ended_ms,
            start_count: spec.start_count,
            reason: self.refusal.map(|refusal| refusal.message).or(killed),
        };
        self.files.write_exit(&exit).map_err(ShimError::Record)
    }
}

/// Ends what the program has left that did not start its unit, and says why, from what it has written.
fn explained(
    error: DetachError,
    spec: &ShimSpec,
    pumps: &mpsc::Receiver<()>,
    started_ms: u64,
) -> ShimError {
    descendants::end_every_child(&[]);
    let _: Result<(), _> = pumps.recv_timeout(DRAIN_MAX);
    let why = log::complaint_since(&spec.log_file("stderr"), started_ms / 1_000);
    ShimError::Detach(error.saying(why))
}

/// Writes both streams into their logs, until they have run dry. No value is ever sent: the channel closes.
fn pump_all(
    spec: &ShimSpec,
    stdout: io::PipeReader,
    stderr: io::PipeReader,
    refusal: Option<&Refusal>,
) -> mpsc::Receiver<()> {
    let (finished, pumps) = mpsc::channel();
    for (stream, reader) in [("stdout", stdout), ("stderr", stderr)] {
        let path = spec.log_file(stream);
        let note = refusal.filter(|_| stream == "stderr");
        let note = note.map(|refusal| refusal.message.clone());
        let finished = finished.clone();
        thread::spawn(move || {
            pump(reader, &path, note.as_deref());
            drop(finished);
        });
    }
    pumps
}

/// A process whose start is not finished: it is ended when the start fails.
struct Unfinished(Option<ProcessId>);

impl Unfinished {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(process) = self.0 {
            process.kill();
        }
    }
}

/// The control group of a unit whose start is not finished: it is removed when the start fails.
struct Grouped<'a>(Option<&'a Group>);

impl<'a> Grouped<'a> {
    fn make(group: Option<&'a Group>) -> Result<Self, ShimError> {
        if let Some(group) = group {
            group.make().map_err(ShimError::Limit)?;
        }
        Ok(Self(group))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Grouped<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            group.dissolve();
        }
    }
}

fn lock(files: &RunFiles, spec: &ShimSpec) -> Result<File, ShimError> {
    let lock = lock::open(files.lock())
        .map_err(|error| ShimError::Prepare("open the lock of the unit", error))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(_) => Err(ShimError::Locked(spec.unit.to_string())),
    }
}
