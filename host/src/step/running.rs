//! A program that runs: what it writes is taken, its times are kept, and at its end nothing of it is left.
//!
//! Times, the end and the driver's wish are looked at before each chunk of output is: a program that never
//! stops writing has no more time than another, and waits in its pipe when it writes faster than is read.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::output::{self, Output};
use super::wait::{self, Pipe, Ready};
use super::{Ending, Frame, Leftovers, StepSpec};
use crate::descendants;
use crate::gate::Gate;
use crate::process::{ProcessId, traffic_of_session};

/// How often the last line is told at most.
const TELL_PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked whether a program that is silent works all the same.
const TRAFFIC_PAUSE: Duration = Duration::from_secs(1);
/// A program that has read and written so much is not silent: without a terminal, downloads do not tell how
/// they get on.
const TRAFFIC_BYTES_MIN: u64 = 16_384;
/// After the program has ended, its streams get so long to run dry: what it left behind may keep them.
const DRAIN_MAX: Duration = Duration::from_millis(500);
/// So long a program may take to end in order, once all is killed that it has waited for.
const MOMENT_MAX: Duration = Duration::from_secs(1);
/// Between two attempts to end what is left of the program.
const KILL_PAUSE: Duration = Duration::from_millis(10);
/// A program that is stuck in the kernel cannot be ended by anyone; so long it is tried.
const KILL_MAX: Duration = Duration::from_secs(5);

/// What the program and all in its session read and write.
struct Traffic {
    due: Instant,
    bytes: u64,
}

impl Traffic {
    fn begin(now: Instant) -> Self {
        Self {
            due: now + TRAFFIC_PAUSE,
            bytes: Self::now(),
        }
    }

    /// The runner leads the session of its program.
    fn now() -> u64 {
        traffic_of_session(std::process::id())
    }

    /// True when it is time to look, and enough has been read and written since that was last so.
    fn flows(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now + TRAFFIC_PAUSE;
        let bytes = Self::now();
        let flows = bytes.saturating_sub(self.bytes) >= TRAFFIC_BYTES_MIN;
        // Fewer than before: a process has ended.
        if flows || bytes < self.bytes {
            self.bytes = bytes;
        }
        flows
    }
}

/// A step whose program runs.
pub(super) struct Running {
    process: ProcessId,
    /// Becomes readable when the program has ended.
    end: OwnedFd,
    pipes: [Pipe; 2],
    stdout: Output,
    stderr: Output,
    /// True when no line of the standard output is told.
    keep: bool,
}

impl Running {
    /// Starts the program.
    pub(super) fn start(spec: &StepSpec) -> Result<Self, Frame> {
        let failed = |error: &io::Error| Frame::not_started(format!("no process: {error}"), false);
        let pipes = || -> io::Result<_> { Ok((io::pipe()?, io::pipe()?)) };
        let ((stdout, stdout_end), (stderr, stderr_end)) =
            pipes().map_err(|error| failed(&error))?;
        let mut gate = Gate::start(&spec.about, stdout_end.into(), stderr_end.into())
            .map_err(|error| failed(&error))?;
        let found = ProcessId::of(gate.child.id())
            .and_then(|process| Ok((process, wait::end_of(process)?)))
            .and_then(|found| Ok((found, gate.let_go(&spec.launch)?)));
        match found {
            Ok(((process, end), None)) => Ok(Self {
                process,
                end,
                pipes: [Pipe::new(stdout), Pipe::new(stderr)],
                stdout: Output::new(output::STDOUT_BYTES_MAX),
                stderr: Output::new(output::STDERR_BYTES_MAX),
                keep: spec.keep,
            }),
            Ok((_, Some(refusal))) => {
                let _ = gate.child.wait();
                let is_not_found = refusal.is_not_found();
                Err(Frame::not_started(refusal.message, is_not_found))
            }
            Err(error) => {
                let _ = gate.child.kill();
                let _ = gate.child.wait();
                Err(failed(&error))
            }
        }
    }

    /// Stays until the program has ended, by itself or because it had to.
    pub(super) fn accompany(mut self, spec: &StepSpec, driver: &mut Driver) -> Frame {
        let ending = self.wait(spec, driver);
        match ending {
            Ending::Exited(_) => self.leave(spec.leftovers),
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

    fn wait(&mut self, spec: &StepSpec, driver: &mut Driver) -> Ending {
        let begin = Instant::now();
        let (mut heard, mut told) = (begin, begin);
        let mut traffic = spec.silence_ms.map(|_| Traffic::begin(begin));
        let mut is_untold = false;
        let after = |from: Instant, ms: Option<u64>| from.checked_add(Duration::from_millis(ms?));
        loop {
            let (late, silent) = (after(begin, spec.total_ms), after(heard, spec.silence_ms));
            // A program that hangs after a line is shown with that line, not with one before.
            let tell = is_untold.then(|| told + TELL_PAUSE);
            let looked = traffic.as_ref().map(|traffic| traffic.due);
            let due = late
                .into_iter()
                .chain(silent)
                .chain(tell)
                .chain(looked)
                .min();
            let ready = wait::until(due, &self.end, driver.speech(), &self.pipes);
            if ready.end {
                return Ending::Exited(wait::status_of(self.process));
            }
            if ready.driver && driver.cancels() {
                return Ending::Cancelled;
            }
            let now = Instant::now();
            if late.is_some_and(|late| late <= now) {
                return Ending::Late;
            }
            if traffic.as_mut().is_some_and(|traffic| traffic.flows(now)) {
                heard = now;
            }
            // What has come before somebody looked was not silence.
            if self.take(ready) {
                heard = now;
                is_untold = true;
            } else if heard < now && silent.is_some_and(|silent| silent <= now) {
                return Ending::Silent;
            }
            if is_untold && now.duration_since(told) >= TELL_PAUSE {
                told = now;
                is_untold = false;
                driver.tell_line(self.last_line());
            }
        }
    }

    /// Takes one chunk of each stream that has one. True when there was any.
    fn take(&mut self, ready: Ready) -> bool {
        let Self {
            pipes: [stdout, stderr],
            ..
        } = self;
        let mut took = false;
        let streams = [(stdout, &mut self.stdout), (stderr, &mut self.stderr)];
        for ((pipe, output), is_ready) in streams.into_iter().zip(ready.pipes) {
            if is_ready {
                let bytes = pipe.read();
                output.take(bytes);
                took |= !bytes.is_empty();
            }
        }
        took
    }

    /// The last line of standard error, or of standard output when that is empty and may be told.
    fn last_line(&self) -> &str {
        match self.stderr.last_line() {
            "" if !self.keep => self.stdout.last_line(),
            line => line,
        }
    }

    /// The program has ended by itself.
    fn leave(&mut self, leftovers: Leftovers) {
        // The process was not collected yet, so nobody else can have the number of its group.
        match leftovers {
            Leftovers::Stay => {}
            Leftovers::EndGroup => descendants::end_group(self.process),
            Leftovers::End => {
                descendants::end_group(self.process);
                descendants::end_every_child(&[]);
            }
        }
        let due = Instant::now() + DRAIN_MAX;
        while self.pipes.iter().any(Pipe::is_open) && Instant::now() < due {
            let ready = wait::for_output(due, &self.pipes);
            self.take(ready);
        }
    }

    /// Ends the program and everything that it has started.
    fn end_all(&mut self) {
        if descendants::end_below_orphans(self.process) {
            self.give_a_moment();
        }
        let begin = Instant::now();
        while begin.elapsed() < KILL_MAX {
            descendants::end_group(self.process);
            descendants::end_children();
            let due = Instant::now() + KILL_PAUSE;
            let ready = wait::until(Some(due), &self.end, None, &self.pipes);
            self.take(ready);
            if ready.end {
                break;
            }
        }
        descendants::end_the_rest(self.process);
    }

    /// podman takes down its record of a command in a container when it sees the end of it. For each that was
    /// killed before, it waits seconds when the container is removed.
    fn give_a_moment(&mut self) {
        let due = Instant::now() + MOMENT_MAX;
        while Instant::now() < due {
            let ready = wait::until(Some(due), &self.end, None, &self.pipes);
            self.take(ready);
            if ready.end {
                return;
            }
        }
    }
}
