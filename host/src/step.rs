//! The parent of one step (`simplenetesd step`, started by the driver only): it runs a program to its end,
//! or to its deadline, and outlives the daemon.
//!
//! Its standard output is the open file of the release's lock, so that the lock is held until the step has
//! ended: a daemon that is started meanwhile takes the lock before it acts, and never acts beside a step
//! of the one before. The program does not get that descriptor. When the deadline passes or the driver
//! cancels, *every* descendant is ended, also one that has left session and process group: this process
//! is the parent of all orphans below it. It knows no pod, no policy and no plugin.
//!
//! ```text
//! driver ──StepSpec──▶ step: gate ─▶ the program
//! driver ◀─frames───── step: its last line now and then, at the end what it wrote and how it ended
//! driver ──a byte────▶ step: ends everything      (the end of the stream means nothing: the driver died)
//! ```

mod driver;
mod frame;
mod output;
mod running;
mod wait;

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::descendants;
use crate::gate::Launch;
use crate::process::{Marker, ProcessId};

use driver::Driver;
pub use frame::{Ending, Frame, read_frame};
use running::Running;

/// What a step runs, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepSpec {
    /// Pod, version and step, for those who look at the list of processes.
    pub about: Vec<String>,
    /// The program.
    pub launch: Launch,
    /// Milliseconds after which it is ended; none when only silence ends it.
    pub total_ms: Option<u64>,
    /// Milliseconds without a new byte of output after which it is ended.
    pub silence_ms: Option<u64>,
    /// True when its standard output is nobody's business: no line of it is told.
    #[serde(default)]
    pub keep: bool,
    /// True when its output is searched before anybody is told: of an output that is too long to be kept,
    /// the two lines are left out in which it was cut. Half of what is looked for would not be found there.
    #[serde(default)]
    pub whole_lines: bool,
    /// What is ended that the program has left when it ends by itself.
    pub leftovers: Leftovers,
    /// The directory in which it is noted that the step runs; one that is not there is not made.
    pub run_dir: PathBuf,
}

/// What becomes of processes that a program has left when it ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Leftovers {
    /// All of them end.
    End,
    /// Those in its process group end; what left that on purpose is meant to stay, as the monitor of a
    /// container is.
    EndGroup,
    /// They stay: the program is there to start them.
    Stay,
}

/// Runs the step: reads the request from standard input, which is a socket, and answers there.
///
/// # Errors
/// The request cannot be read.
pub fn run() -> io::Result<()> {
    // Only fails for a leader of a process group, which a step that the driver started is not.
    let _ = rustix::process::setsid();
    descendants::adopt_orphans()?;
    let driver = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (mut driver, request) = Driver::hear(driver)?;
    let spec: StepSpec = serde_json::from_str(&request)?;
    let note = Note::write(&spec.run_dir);
    let frame = match Running::start(&spec) {
        Ok(step) => step.accompany(&spec, &mut driver),
        Err(refused) => refused,
    };
    drop(note);
    // A driver that is gone does not want to know.
    let _ = driver.tell_end(&frame);
    Ok(())
}

/// Ends what the steps have left whose runner was killed together with its driver. Only for those who hold
/// the lock of the release: no runner lives then.
pub(crate) fn end_strays(run_dir: &Path) {
    let entries = fs::read_dir(run_dir).into_iter().flatten().flatten();
    for entry in entries {
        if let Some(marker) = entry.file_name().to_str().and_then(Marker::parse) {
            marker.end_all();
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Ends what a runner has left that was killed.
pub(crate) fn end_stray(runner: ProcessId, run_dir: &Path) {
    let left = runner.session_without_leader();
    left.into_iter().for_each(ProcessId::kill);
    if let Ok(marker) = Marker::of(runner) {
        marker.end_all();
        let _ = fs::remove_file(run_dir.join(marker.file_name()));
    }
}

/// An empty file by whose name everything is found that a step has left when its runner was killed.
struct Note(PathBuf);

impl Note {
    fn write(run_dir: &Path) -> Option<Self> {
        let marker = Marker::of(ProcessId::of(std::process::id()).ok()?).ok()?;
        let path = run_dir.join(marker.file_name());
        File::create(&path).ok().map(|_| Self(path))
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // One that stays names nobody, and goes the next time.
        let _ = fs::remove_file(&self.0);
    }
}
