//! Units: each becomes the child of a shim of its own, which is started here and outlives the daemon.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use names::UnitName;
use podspec::Limits;
use rustix::process::Pid;
use simplenetes_plugin::StepOptions;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Processes, StepError, StepRunner};
use crate::cgroup::{self, Group};
use crate::hands::wait_for_end;
use crate::process::ProcessId;
use crate::shim::{Answer, Detached, ShimSpec};

/// A shim that has not answered after so long is given up; its lock tells later whether it lives.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// How long a program has to leave its unit to another parent, when it names no time of its own.
const START_DEFAULT_MS: u64 = 60_000;
/// No program may have more.
const START_MAX_MS: u64 = 600_000;
/// Killing a shim takes so long at most, unless the kernel holds it.
const GIVEN_UP_MAX: Duration = Duration::from_secs(10);
const NO_PID_FILE: &str = "a detached unit needs `pid-file`: nobody would know its process";

impl StepRunner {
    /// Starts a unit and waits until its process is recorded and has executed its program.
    pub(super) async fn process(
        &self,
        unit: &str,
        program: &str,
        args: Vec<String>,
        options: StepOptions,
        detached: bool,
        processes: &Processes,
    ) -> Result<(), StepError> {
        let name = unit
            .parse()
            .map_err(|error| StepError::Refused(format!("{error}")))?;
        let detached = match (detached, &options.pid_file) {
            (true, None) => return Err(StepError::Refused(NO_PID_FILE.into())),
            (true, Some(path)) => Some(Detached {
                pid_file: path.into(),
                monitor_file: options.monitor_file.as_ref().map(Into::into),
                start_ms: options
                    .timeout_ms
                    .unwrap_or(START_DEFAULT_MS)
                    .min(START_MAX_MS),
            }),
            (false, _) => None,
        };
        let answer_max = ANSWER_MAX
            + detached.as_ref().map_or(Duration::ZERO, |detached| {
                Duration::from_millis(detached.start_ms)
            });
        let mut launch = self.launch(program, args, options, Some(&name))?;
        // What leaves its unit to another parent is limited by that: its kind says that it passes limits on.
        let limits = processes.limits.get(&name).filter(|_| detached.is_none());
        let group = match limits {
            Some(limits) => Some(self.group(&name, *limits).await?),
            None => None,
        };
        launch.group = group.as_ref().map(Group::entrances).unwrap_or_default();
        let spec = ShimSpec {
            detached,
            group,
            launch,
            release: self.release.clone(),
            id: self.id.clone(),
            unit: name,
            start_count: processes.start_count,
            address: processes.address,
        };
        let failed = |message: String| StepError::Shim {
            unit: unit.to_owned(),
            message,
        };
        let (shim, channel) = self
            .start_shim(&spec)
            .map_err(|error| failed(format!("its shim could not be started: {error}")))?;
        let redaction = self.redaction().await;
        let message = match timeout(answer_max, ask_shim(channel, &spec)).await {
            Ok(Ok(Answer { error: None, .. })) => return Ok(()),
            Ok(Ok(Answer {
                error: Some(message),
                ..
            })) => return Err(failed(redaction.line(&message))),
            Ok(Err(error)) => format!("its shim could not be asked: {error}"),
            Err(_) => format!("its shim gave no answer in {} s", answer_max.as_secs()),
        };
        give_up(shim).await;
        Err(failed(message))
    }

    /// The control group that keeps the limits of a unit. It is made by the unit's shim.
    async fn group(&self, unit: &UnitName, limits: Limits) -> Result<Group, StepError> {
        let name = cgroup::name(&self.release, &self.id, unit);
        let prepared = tokio::task::spawn_blocking(move || cgroup::prepare(&name, limits)).await;
        prepared
            .map_err(|_| StepError::Refused("the start was aborted".into()))?
            .map_err(|source| StepError::Limits {
                unit: unit.to_string(),
                source,
            })
    }

    /// Starts a shim, which waits for its request.
    fn start_shim(&self, spec: &ShimSpec) -> io::Result<(Option<ProcessId>, UnixStream)> {
        let lock = self.hold.duplicate()?.map_or_else(Stdio::null, Stdio::from);
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        #[expect(clippy::disallowed_methods, reason = "this is where shims are started")]
        let mut command = tokio::process::Command::new(&self.programs.daemon);
        // Its own environment is empty: the unit's is part of the request.
        let shim = command
            .arg("shim")
            // Only for those who look at the list of processes.
            .args([self.id.to_string(), spec.unit.to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // Nobody else drives the release while a unit is being started.
            .stdout(lock)
            .stderr(Stdio::null())
            .spawn()?;
        // The shim waits for its request, and starts nothing before.
        let pid = shim.id();
        if let Some(pid) = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            self.open_files.give(pid);
        }
        let process = pid.and_then(|pid| ProcessId::of(pid).ok());
        // The command holds the shim's end of the socket until it is dropped. The runtime collects the shim
        // when it ends; it is not waited for.
        Ok((process, UnixStream::from_std(ours)?))
    }
}

async fn ask_shim(channel: UnixStream, spec: &ShimSpec) -> io::Result<Answer> {
    let mut channel = BufReader::new(channel);
    let mut line = serde_json::to_string(spec)?;
    line.push('\n');
    channel.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    channel.read_line(&mut answer).await?;
    serde_json::from_str(&answer).map_err(Into::into)
}

/// Ends a shim of which nobody knows what it does: it must not start its unit later, when nobody wants it any
/// more. What it has started ends with it, and what that has left is ended by who looks what is there. One
/// that the kernel holds ends as soon as that lets go of it, and does nothing before.
async fn give_up(shim: Option<ProcessId>) {
    if let Some(shim) = shim {
        shim.kill();
        let _ = timeout(GIVEN_UP_MAX, wait_for_end(shim)).await;
    }
}
