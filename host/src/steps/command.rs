//! Commands and looks: a program that runs to its end, with a deadline.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use simplenetes_plugin::{Answer, StepOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use super::{StepError, StepRunner};

/// How long a command has that names no time of its own.
const TIMEOUT_DEFAULT_MS: u64 = 60_000;
/// How much of the standard output is kept.
const STDOUT_BYTES_MAX: u64 = 4 << 20;
/// How much of the standard error is kept.
const STDERR_BYTES_MAX: u64 = 64 << 10;

/// Ends the process group of a command that is not waited for any more, for whatever reason.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
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
    ) -> Result<Answer, StepError> {
        self.check_user(options)?;
        if options.user.is_some() {
            return Err(StepError::Refused(format!(
                "{id}: only units run as another user, commands do not yet"
            )));
        }
        let working_directory = self.working_directory(options);
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the commands of steps are started"
        )]
        let mut command =
            tokio::process::Command::new(self.programs.find(program, &working_directory));
        command
            .args(args)
            .env_clear()
            .envs(Self::environment(options))
            .current_dir(working_directory)
            .stdin(if options.stdin.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(|source| StepError::Start {
            program: program.to_owned(),
            source,
        })?;
        let after_ms = options.timeout_ms.unwrap_or(TIMEOUT_DEFAULT_MS);
        let ended = tokio::time::timeout(
            Duration::from_millis(after_ms),
            wait(child, options.stdin.clone()),
        )
        .await;
        ended
            .map_err(|_| StepError::Deadline {
                id: id.to_owned(),
                after_ms,
            })?
            .map_err(|source| StepError::Start {
                program: program.to_owned(),
                source,
            })
    }
}

async fn wait(mut child: Child, stdin: Vec<u8>) -> std::io::Result<Answer> {
    let group = Group(
        child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)),
    );
    let (mut input, output, errors) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut input) = input.take() {
            // A program that does not read its input to the end is no mistake.
            let _ = input.write_all(&stdin).await;
        }
    };
    let streams = async {
        tokio::join!(
            feed,
            head(output, STDOUT_BYTES_MAX),
            head(errors, STDERR_BYTES_MAX)
        )
    };
    let ended = async {
        let status = child.wait().await;
        // A descendant that keeps the streams open would be waited for otherwise.
        drop(group);
        status
    };
    let ((), stdout, stderr);
    let status;
    (status, ((), stdout, stderr)) = tokio::join!(ended, streams);
    let status = status?;
    let exit = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(Answer {
        exit,
        stdout,
        stderr,
    })
}

/// The beginning of a stream; the rest is read and dropped, so that the program can end.
async fn head(stream: Option<impl AsyncRead + Unpin>, bytes_max: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        let _ = (&mut stream).take(bytes_max).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    kept
}
