//! Commands and looks: a program that runs to its end below a runner of its own (`simplenetesd step`),
//! which enforces the deadline and outlives the daemon.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use simplenetes_plugin::{Answer, StepOptions};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout_at};

use super::fill::redacted;
use super::{Parting, StepError, StepRunner};
use crate::hands::wait_for_end;
use crate::process::ProcessId;
use crate::secrets::Redaction;
use crate::step::{Ending, Frame, Leftovers, StepSpec, end_stray, read_frame};

/// How long a command has that names no time of its own.
const TIMEOUT_DEFAULT_MS: u64 = 60_000;
/// No command may have more: nothing else can happen to its release meanwhile. One that names only how
/// long it may be silent goes on as long as it has something to say.
const TIMEOUT_MAX_MS: u64 = 600_000;
/// A runner enforces its deadlines itself; one that says nothing for so long after them is given up.
const RUNNER_GRACE: Duration = Duration::from_secs(30);
/// What tells a runner to end what it runs.
const CANCEL: &[u8] = b"c";

/// What a command has to do with the operation that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It belongs to it: what it writes says how far that is.
    Own,
    /// It belongs to it, and ends when something else is wanted.
    Cancellable,
    /// Nothing: it is a probe, perhaps of another unit.
    None,
}

/// The way to a runner. One that is not waited for any more ends what it runs; when the daemon ends first
/// or is killed, nobody says so, and the step goes on to its end.
struct Runner {
    parting: Parting,
    frames: BufReader<OwnedReadHalf>,
    wishes: OwnedWriteHalf,
    process: Option<ProcessId>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        if !self.parting.leaves() {
            // It fails only when the runner has ended.
            let _ = self.wishes.try_write(CANCEL);
        }
    }
}

impl Runner {
    /// Ends a runner that is of no use any more, and all that it has started. It is waited for: nothing
    /// should be done beside what is left of a step.
    async fn end(&self, run_dir: &Path) {
        if let Some(process) = self.process {
            process.kill();
            wait_for_end(process).await;
            let run_dir = run_dir.to_owned();
            let _ = tokio::task::spawn_blocking(move || end_stray(process, &run_dir)).await;
        }
    }
}

impl StepRunner {
    /// Runs a program to its end, or to its deadline.
    pub(super) async fn command(
        &self,
        id: &str,
        program: &str,
        args: Vec<String>,
        options: &StepOptions,
        probe_limit: Option<Duration>,
    ) -> Result<Answer, StepError> {
        let part = match (probe_limit, options.silence_ms) {
            // It has a short time anyhow.
            (Some(_), _) => Part::None,
            (None, Some(_)) => Part::Cancellable,
            (None, None) => Part::Own,
        };
        let redaction = self.redaction().await;
        let spec = StepSpec {
            about: vec![self.id.to_string(), id.to_owned()],
            launch: self.launch(program, args, options.clone(), None)?,
            total_ms: total_ms(options, probe_limit),
            keep: options.keep.is_some(),
            whole_lines: !redaction.is_empty(),
            leftovers: if probe_limit.is_some() {
                Leftovers::End
            } else {
                Leftovers::EndGroup
            },
            silence_ms: options.silence_ms,
            run_dir: self.release.run_dir(),
        };
        let (mut answer, is_whole) = self
            .run_below_runner(id, program, &spec, part, &redaction)
            .await?;
        if let Some(path) = &options.keep {
            answer = self.keep(path, answer, is_whole).await?;
        }
        Ok(redacted(answer, &redaction))
    }

    /// Calls a verb of the program that is the pod. What it starts stays.
    ///
    /// # Errors
    /// It could not be started, did not end in time or was cancelled; what it started has ended then.
    pub(crate) async fn verb(
        &self,
        verb: &str,
        args: Vec<String>,
        options: StepOptions,
        limit: Duration,
        is_cancellable: bool,
    ) -> Result<Answer, StepError> {
        const PROGRAM: &str = "./pod";
        let redaction = self.redaction().await;
        let spec = StepSpec {
            about: vec![self.id.to_string(), verb.to_owned()],
            launch: self.launch(PROGRAM, args, options, None)?,
            total_ms: Some(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            keep: false,
            whole_lines: !redaction.is_empty(),
            leftovers: Leftovers::Stay,
            silence_ms: None,
            run_dir: self.release.run_dir(),
        };
        let part = if is_cancellable {
            Part::Cancellable
        } else {
            Part::Own
        };
        let (answer, _) = self
            .run_below_runner(verb, PROGRAM, &spec, part, &redaction)
            .await?;
        Ok(redacted(answer, &redaction))
    }

    /// What it wrote, and whether that is all of it. Lines and errors on the way are searched for secrets;
    /// the answer is not yet.
    async fn run_below_runner(
        &self,
        id: &str,
        program: &str,
        spec: &StepSpec,
        part: Part,
        redaction: &Redaction,
    ) -> Result<(Answer, bool), StepError> {
        let failed = |source| StepError::Start {
            program: program.to_owned(),
            source,
        };
        if part == Part::Cancellable && self.told.is_cancelled() {
            return Err(StepError::Cancelled { id: id.to_owned() });
        }
        let mut runner = self.start_runner(spec).await.map_err(failed)?;
        let Runner { frames, wishes, .. } = &mut runner;
        let ended = self.follow(frames, spec, part, redaction);
        let frame = if part == Part::Cancellable {
            self.unless_cancelled(ended, wishes).await
        } else {
            ended.await
        };
        let error = match frame {
            Ok(Some(frame)) => {
                let is_whole = matches!(&frame, Frame::End { is_whole: true, .. });
                return Ok((answer(frame, id, program, spec, redaction)?, is_whole));
            }
            Ok(None) => io::Error::other("its runner was killed"),
            Err(error) => error,
        };
        runner.end(&spec.run_dir).await;
        Err(failed(error))
    }

    /// Waits for the end, and asks for it when something else is wanted.
    async fn unless_cancelled<T>(
        &self,
        ended: impl Future<Output = T>,
        wishes: &OwnedWriteHalf,
    ) -> T {
        let mut ended = pin!(ended);
        tokio::select! {
            frame = &mut ended => frame,
            () = self.told.cancelled() => {
                // It fails only when the runner has ended.
                let _ = wishes.try_write(CANCEL);
                // Nothing else may begin before all of it has ended.
                ended.await
            }
        }
    }

    /// What programs write is searched for. It is read anew for each step: secrets come and go.
    pub(super) async fn redaction(&self) -> Redaction {
        let secrets = self.secrets.clone();
        let read = tokio::task::spawn_blocking(move || secrets.redaction()).await;
        read.unwrap_or_default()
    }

    async fn start_runner(&self, spec: &StepSpec) -> io::Result<Runner> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // The lock is held until the runner has ended, whatever becomes of the daemon.
        let lock = self.hold.duplicate()?.map_or_else(Stdio::null, Stdio::from);
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the runners of steps are started"
        )]
        let mut command = tokio::process::Command::new(&self.programs.daemon);
        let child = command
            .arg("step")
            // Only for those who look at the list of processes.
            .args(&spec.about)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(lock)
            .stderr(Stdio::null())
            .spawn()?;
        // The runner waits for its request, and starts nothing before.
        let pid = child.id();
        if let Some(pid) = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            self.open_files.give(pid);
        }
        let process = pid.and_then(|pid| ProcessId::of(pid).ok());
        // The command holds the runner's end of the socket and the lock until it is dropped. The runtime
        // collects the runner when it ends.
        drop((command, child));
        let (frames, mut wishes) = UnixStream::from_std(ours)?.into_split();
        let mut line = serde_json::to_vec(spec)?;
        line.push(b'\n');
        wishes.write_all(&line).await?;
        Ok(Runner {
            parting: self.parting.clone(),
            frames: BufReader::new(frames),
            wishes,
            process,
        })
    }

    /// The last frame of the runner; none when it was killed.
    async fn follow(
        &self,
        frames: &mut BufReader<OwnedReadHalf>,
        spec: &StepSpec,
        part: Part,
        redaction: &Redaction,
    ) -> io::Result<Option<Frame>> {
        let from = |begin: Instant, ms: Option<u64>| {
            begin.checked_add(Duration::from_millis(ms?) + RUNNER_GRACE)
        };
        let late = from(Instant::now(), spec.total_ms);
        loop {
            // A line says that the program was not silent. It gives no more time in all.
            let silent = from(Instant::now(), spec.silence_ms);
            let next = read_frame(frames);
            let frame = match late.into_iter().chain(silent).min() {
                Some(due) => timeout_at(due, next).await,
                None => Ok(next.await),
            };
            match frame {
                Ok(Ok(Some(Frame::Line(_)))) if part == Part::None => {}
                Ok(Ok(Some(Frame::Line(line)))) => self.told.line(redaction.line(&line)),
                Ok(frame) => return frame,
                Err(_) => return Err(io::Error::other("its runner does not answer")),
            }
        }
    }
}

/// Milliseconds that the command has in all.
fn total_ms(options: &StepOptions, probe_limit: Option<Duration>) -> Option<u64> {
    let total = match (options.timeout_ms, options.silence_ms) {
        (None, Some(_)) => None,
        (Some(ms), Some(_)) => Some(ms),
        (named, None) => Some(named.unwrap_or(TIMEOUT_DEFAULT_MS).min(TIMEOUT_MAX_MS)),
    };
    let limit = probe_limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    total.into_iter().chain(limit).min()
}

fn answer(
    frame: Frame,
    id: &str,
    program: &str,
    spec: &StepSpec,
    redaction: &Redaction,
) -> Result<Answer, StepError> {
    let id = || id.to_owned();
    match frame {
        Frame::End {
            ending: Ending::Exited(exit),
            stdout,
            stderr,
            ..
        } => Ok(Answer {
            exit,
            stdout,
            stderr,
            kept: None,
        }),
        Frame::End {
            ending: Ending::Cancelled,
            ..
        } => Err(StepError::Cancelled { id: id() }),
        Frame::End {
            ending: Ending::Silent,
            last_line,
            ..
        } => Err(StepError::Silent {
            id: id(),
            after_ms: spec.silence_ms.unwrap_or_default(),
            said: redaction.line(&last_line),
        }),
        Frame::End {
            ending: Ending::Late,
            last_line,
            ..
        } => Err(StepError::Deadline {
            id: id(),
            after_ms: spec.total_ms.unwrap_or_default(),
            said: redaction.line(&last_line),
        }),
        Frame::NotStarted {
            message,
            is_not_found,
        } => Err(StepError::Start {
            program: program.to_owned(),
            source: io::Error::new(
                if is_not_found {
                    io::ErrorKind::NotFound
                } else {
                    io::ErrorKind::PermissionDenied
                },
                message,
            ),
        }),
        Frame::Line(_) => Err(StepError::Refused("a line is no end".into())),
    }
}
