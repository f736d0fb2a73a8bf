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
/// No command may have more: nothing else can happen to its release meanwhile.
const TIMEOUT_MAX_MS: u64 = 600_000;
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
        let user = self.user(program, options)?;
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
            .envs(Self::environment(options, user.as_ref()))
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
        if let Some(user) = user {
            // With that it also leaves all groups of the daemon.
            command.gid(user.gid).uid(user.uid);
        }
        let child = command.spawn().map_err(|source| StepError::Start {
            program: program.to_owned(),
            source,
        })?;
        let after_ms = time_limit_ms(options);
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

fn time_limit_ms(options: &StepOptions) -> u64 {
    options
        .timeout_ms
        .unwrap_or(TIMEOUT_DEFAULT_MS)
        .min(TIMEOUT_MAX_MS)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open_files::OpenFiles;
    use crate::process::ProcessId;
    use crate::steps::{Processes, Programs};
    use hostfiles::ReleaseDir;
    use simplenetes_plugin::Step;

    fn runner(folder: &tempfile::TempDir) -> StepRunner {
        StepRunner {
            id: "web:1.0.0".parse().unwrap(),
            release: ReleaseDir::new(folder.path()),
            programs: Programs::new(
                "/nowhere/simplenetesd".as_ref(),
                "/bin/false".into(),
                "/usr/bin:/bin".as_ref(),
            ),
            owner_is_root: false,
            open_files: OpenFiles::raise(),
            hold: crate::lock::Hold::default(),
        }
    }

    async fn run(script: &str, options: StepOptions) -> Result<Option<Answer>, StepError> {
        let folder = tempfile::tempdir().unwrap();
        let args = vec![
            "-c".to_owned(),
            script.replace("FOLDER", folder.path().to_str().unwrap()),
        ];
        let step = Step::Command {
            id: "check".into(),
            program: "sh".into(),
            args,
            options,
        };
        runner(&folder).run(step, &Processes::default()).await
    }

    #[tokio::test]
    async fn a_command_gets_what_the_step_names_and_nothing_else() {
        let options = StepOptions {
            env: vec![("NAME".into(), "value".into())],
            stdin: b"input".to_vec(),
            ..StepOptions::default()
        };
        let answer = run(
            "cat; echo \" $NAME ${HOME:-none}\"; test \"$PWD\" = FOLDER",
            options,
        )
        .await
        .unwrap()
        .unwrap();
        assert_eq!(
            String::from_utf8(answer.stdout).unwrap(),
            "input value none\n"
        );
    }

    #[tokio::test]
    async fn a_failure_is_told_with_the_last_line() {
        let error = run(
            "echo first >&2; echo last >&2; exit 3",
            StepOptions::default(),
        )
        .await
        .unwrap_err();
        assert_eq!(error.to_string(), "check: ended with 3: last");
        let error = run("kill -9 $$", StepOptions::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "check: ended with 137");
    }

    #[tokio::test]
    async fn the_deadline_ends_the_whole_group() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sleep 600 & echo $! > child.new; mv child.new child; wait";
        // The deadline passes only after the child was noted, however slow the machine is.
        let mut timeout_ms = 500;
        let child: u32 = loop {
            let options = StepOptions {
                timeout_ms: Some(timeout_ms),
                ..StepOptions::default()
            };
            let step = Step::Command {
                id: "check".into(),
                program: "sh".into(),
                args: vec!["-c".to_owned(), script.to_owned()],
                options,
            };
            let error = runner(&folder)
                .run(step, &Processes::default())
                .await
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("check: no end after {timeout_ms} ms")
            );
            match std::fs::read_to_string(folder.path().join("child")) {
                Ok(text) => break text.trim().parse().unwrap(),
                Err(_) => timeout_ms *= 2,
            }
            assert!(
                timeout_ms < 60_000,
                "the shell has not come to its first line"
            );
        };
        let ended =
            || {
                Ok(ProcessId::of(child)
                    .map_or(Some(()), |process| (!process.is_alive()).then_some(())))
            };
        testkit::wait_until("the end of the child", Duration::from_secs(60), ended).unwrap();
    }

    #[test]
    fn no_time_limit_is_without_limit() {
        let limit = |timeout_ms| {
            time_limit_ms(&StepOptions {
                timeout_ms,
                ..StepOptions::default()
            })
        };
        assert_eq!(limit(None), TIMEOUT_DEFAULT_MS);
        assert_eq!(limit(Some(1)), 1);
        assert_eq!(limit(Some(u64::MAX)), TIMEOUT_MAX_MS);
    }

    #[tokio::test]
    async fn another_user_is_refused() {
        let options = StepOptions {
            user: Some("root".into()),
            ..StepOptions::default()
        };
        let error = run("true", options).await.unwrap_err();
        assert!(
            error.is_final() && error.to_string().contains("belongs to root"),
            "{error}"
        );
    }
}
