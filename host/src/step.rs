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

mod frame;
mod output;
mod wait;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::descendants;
use crate::gate::{Gate, Launch};
use crate::process::{Marker, ProcessId};

pub use frame::{Ending, Frame, read_frame};
use output::Output;

/// How often the last line is told at most.
const TELL_PAUSE: Duration = Duration::from_millis(500);
/// After the program has ended, its streams get so long to run dry: what it left behind may keep them.
const DRAIN_MAX: Duration = Duration::from_millis(500);
/// Between two attempts to end what is left of the program.
const KILL_PAUSE: Duration = Duration::from_millis(10);
/// A program that is stuck in the kernel cannot be ended by anyone; so often it is tried.
const KILLS_MAX: u32 = 500;

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

/// What happens to a step.
enum Event {
    /// The program has written something.
    Wrote(Stream, Vec<u8>),
    /// A stream has ended.
    Closed,
    /// The program has ended, and waits to be collected.
    Ended(i32),
    /// The driver wants the end.
    Cancel,
}

/// An output stream of the program.
#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

/// Runs the step: reads the request from standard input, which is a socket, and answers there.
///
/// # Errors
/// The request cannot be read.
pub fn run() -> io::Result<()> {
    // Only fails for a leader of a process group, which a step that the driver started is not.
    let _ = rustix::process::setsid();
    descendants::adopt_orphans()?;
    let mut driver = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut reader = BufReader::new(driver.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let spec: StepSpec = serde_json::from_str(&line)?;
    let note = Note::write(&spec.run_dir);
    let frame = match Step::start(&spec, reader) {
        Ok(step) => step.accompany(&spec, &mut driver),
        Err(refused) => refused,
    };
    drop(note);
    // A driver that is gone does not want to know.
    let _ = frame.send(&mut driver);
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

/// A step whose program runs.
struct Step {
    process: ProcessId,
    events: Receiver<Event>,
    stdout: Output,
    stderr: Output,
    /// True when no line of the standard output is told.
    keep: bool,
}

impl Step {
    fn start(spec: &StepSpec, driver: BufReader<UnixStream>) -> Result<Self, Frame> {
        let failed = |error: &io::Error| Frame::not_started(format!("no process: {error}"), false);
        let pipes = || -> io::Result<_> { Ok((io::pipe()?, io::pipe()?)) };
        let ((stdout, stdout_end), (stderr, stderr_end)) =
            pipes().map_err(|error| failed(&error))?;
        let mut gate = Gate::start(&spec.about, stdout_end.into(), stderr_end.into())
            .map_err(|error| failed(&error))?;
        let process = ProcessId::of(gate.child.id()).map_err(|error| failed(&error))?;
        match gate.let_go(&spec.launch) {
            Ok(None) => {}
            Ok(Some(refusal)) => {
                let _ = gate.child.wait();
                let is_not_found = refusal.is_not_found();
                return Err(Frame::not_started(refusal.message, is_not_found));
            }
            Err(error) => {
                let _ = gate.child.kill();
                let _ = gate.child.wait();
                return Err(failed(&error));
            }
        }
        let (sender, events) = mpsc::channel();
        read(stdout, Stream::Stdout, sender.clone());
        read(stderr, Stream::Stderr, sender.clone());
        listen(driver, sender.clone());
        let pid = process.pid;
        thread::spawn(move || sender.send(Event::Ended(wait::for_end(pid))));
        Ok(Self {
            process,
            events,
            stdout: Output::new(output::STDOUT_BYTES_MAX),
            stderr: Output::new(output::STDERR_BYTES_MAX),
            keep: spec.keep,
        })
    }

    /// Stays until the program has ended, by itself or because it had to.
    fn accompany(mut self, spec: &StepSpec, driver: &mut UnixStream) -> Frame {
        let begin = Instant::now();
        let (mut heard, mut told) = (begin, begin);
        let mut open = 2;
        let ending = loop {
            let due = [
                spec.total_ms.map(|ms| begin + Duration::from_millis(ms)),
                spec.silence_ms.map(|ms| heard + Duration::from_millis(ms)),
            ];
            let due = due.into_iter().flatten().min();
            match next(&self.events, due) {
                Ok(Event::Wrote(stream, bytes)) => {
                    heard = Instant::now();
                    self.take(stream, &bytes);
                    if told.elapsed() >= TELL_PAUSE {
                        told = Instant::now();
                        let line = Frame::Line(self.last_line().to_owned());
                        // A driver that is gone does not want to know.
                        let _ = line.send(driver);
                    }
                }
                Ok(Event::Closed) => open -= 1,
                Ok(Event::Ended(status)) => break Ending::Exited(status),
                Ok(Event::Cancel) => break Ending::Cancelled,
                Err(_) if is_over(heard, spec.silence_ms) => break Ending::Silent,
                Err(_) => break Ending::Late,
            }
        };
        match ending {
            Ending::Exited(_) => self.leave(open, spec.leftovers),
            Ending::Cancelled | Ending::Silent | Ending::Late => self.end_all(),
        }
        Frame::End {
            ending,
            last_line: self.last_line().to_owned(),
            is_whole: self.stdout.is_whole(),
            stdout: self.stdout.into_kept(spec.whole_lines),
            stderr: self.stderr.into_kept(spec.whole_lines),
        }
    }

    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.take(bytes),
            Stream::Stderr => self.stderr.take(bytes),
        }
    }

    /// The last line of standard error, or of standard output when that is empty and may be told.
    fn last_line(&self) -> &str {
        match self.stderr.last_line() {
            "" if !self.keep => self.stdout.last_line(),
            line => line,
        }
    }

    /// The program has ended by itself.
    fn leave(&mut self, mut open: u32, leftovers: Leftovers) {
        // The process was not collected yet, so nobody else can have the number of its group.
        match leftovers {
            Leftovers::Stay => {}
            Leftovers::EndGroup => descendants::end_group(self.process),
            Leftovers::End => {
                descendants::end_group(self.process);
                descendants::end_every_child();
            }
        }
        let due = Instant::now() + DRAIN_MAX;
        while open > 0 {
            match next(&self.events, Some(due)) {
                Ok(Event::Wrote(stream, bytes)) => self.take(stream, &bytes),
                Ok(Event::Closed) => open -= 1,
                Ok(Event::Ended(_) | Event::Cancel) => {}
                Err(_) => break,
            }
        }
    }

    /// Ends the program and everything that it has started.
    fn end_all(&mut self) {
        for _ in 0..KILLS_MAX {
            descendants::end_group(self.process);
            descendants::end_children();
            match next(&self.events, Some(Instant::now() + KILL_PAUSE)) {
                Ok(Event::Wrote(stream, bytes)) => self.take(stream, &bytes),
                Ok(Event::Ended(_)) => break,
                Ok(Event::Closed | Event::Cancel) | Err(_) => {}
            }
        }
        descendants::end_the_rest(self.process);
    }
}

fn is_over(begin: Instant, after_ms: Option<u64>) -> bool {
    after_ms.is_some_and(|ms| begin.elapsed() >= Duration::from_millis(ms))
}

/// The next event, until then if that is given.
fn next(events: &Receiver<Event>, due: Option<Instant>) -> Result<Event, RecvTimeoutError> {
    match due {
        Some(due) => events.recv_timeout(due.saturating_duration_since(Instant::now())),
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

fn read(mut pipe: io::PipeReader, stream: Stream, events: Sender<Event>) {
    thread::spawn(move || {
        let mut chunk = vec![0; 65_536];
        loop {
            match pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => {
                    let bytes = chunk.get(..length).unwrap_or_default().to_vec();
                    if events.send(Event::Wrote(stream, bytes)).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        // Whoever does not listen any more does not want to know.
        let _ = events.send(Event::Closed);
    });
}

/// A byte of the driver is its wish to end the step; the end of its stream is only its own end.
fn listen(mut driver: BufReader<UnixStream>, events: Sender<Event>) {
    thread::spawn(move || {
        let mut byte = [0];
        if driver.read_exact(&mut byte).is_ok() {
            let _ = events.send(Event::Cancel);
        }
    });
}
