//! Units: each becomes the child of a shim of its own, which is started here and outlives the daemon.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use simplenetes_plugin::StepOptions;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::{Processes, StepError, StepRunner};
use crate::shim::{Answer, ShimSpec};

/// A shim that has not answered after so long is given up; its lock tells later whether it lives.
const ANSWER_MAX: Duration = Duration::from_secs(20);

impl StepRunner {
    /// Starts a unit and waits until its process is recorded and has executed its program.
    pub(super) async fn process(
        &self,
        unit: &str,
        program: &str,
        args: Vec<String>,
        options: StepOptions,
        processes: &Processes,
    ) -> Result<(), StepError> {
        let name = unit
            .parse()
            .map_err(|error| StepError::Refused(format!("{error}")))?;
        let spec = ShimSpec {
            launch: self.launch(program, args, options, Some(&name))?,
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
        let answer = tokio::time::timeout(ANSWER_MAX, self.ask_shim(&spec))
            .await
            .map_err(|_| {
                failed(format!(
                    "its shim gave no answer in {} s",
                    ANSWER_MAX.as_secs()
                ))
            })?
            .map_err(|error| failed(format!("its shim could not be asked: {error}")))?;
        answer.error.map_or(Ok(()), |message| Err(failed(message)))
    }

    async fn ask_shim(&self, spec: &ShimSpec) -> std::io::Result<Answer> {
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
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // The shim waits for its request, and starts nothing before.
        if let Some(pid) = shim
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
        {
            self.open_files.give(pid);
        }
        // The command holds the shim's end of the socket until it is dropped.
        drop(command);
        let mut channel = BufReader::new(UnixStream::from_std(ours)?);
        let mut line = serde_json::to_string(spec)?;
        line.push('\n');
        channel.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        channel.read_line(&mut answer).await?;
        // The runtime collects the shim when it ends; it is not waited for.
        drop(shim);
        serde_json::from_str(&answer).map_err(Into::into)
    }
}
