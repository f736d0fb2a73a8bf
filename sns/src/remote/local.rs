//! The host that is this machine: a command is a process of the operator's own, and everything else is the same.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command as Program, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::signal::unix::{SignalKind, signal};

use super::command::{Command, Exit, NOT_FOUND, NOT_STARTED};
use super::engine::Engine;
use super::error::RemoteError;
use super::running::{Errors, Input, Process as AnyProcess, Running, Source, Stdin, Stdout};
use super::tail::Tail;

/// This machine.
#[derive(Debug, Clone)]
pub(super) struct Near {
    pub(super) host: String,
    /// Where commands start, as they do after a login.
    pub(super) home: PathBuf,
    pub(super) engine: Arc<Engine>,
}

/// A process, or the code that a shell would have for one that could not be started.
pub(super) struct Process {
    host: String,
    child: Result<Child, u8>,
    errors: Option<JoinHandle<()>>,
}

impl Near {
    /// Runs a command.
    pub(super) fn run(&self, command: &Command, errors: Errors) -> Result<Running, RemoteError> {
        let mut program = self.program(command)?;
        program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let tail = Tail::default();
        let mut child = match program.spawn() {
            Ok(child) => child,
            Err(error) => return Ok(self.not_started(command, &error, errors)),
        };
        let stderr = child.stderr.take();
        let kept = tail.clone();
        let copier = thread::spawn(move || {
            // A stream that breaks ends.
            let _ = stderr.map(|mut stderr| io::copy(&mut stderr, &mut Both { kept, errors }));
        });
        Ok(Running {
            stdin: child.stdin.take().map(|pipe| Stdin(Input::Local(pipe))),
            stdout: child.stdout.take().map(|pipe| Stdout(Source::Local(pipe))),
            errors: tail,
            process: AnyProcess::Local(Process {
                host: self.host.clone(),
                child: Ok(child),
                errors: Some(copier),
            }),
        })
    }

    /// Runs a command with the streams of this process, and waits for it.
    pub(super) fn shell(&self, command: &Command) -> Result<Exit, RemoteError> {
        // What is typed at the terminal is the command's: it ends at Ctrl-C or not, and how it ended is to be told.
        let _kept = self.engine.block_on(async {
            let kinds = [SignalKind::interrupt(), SignalKind::quit()];
            kinds.map(|kind| signal(kind).ok())
        });
        match self.program(command)?.status() {
            Ok(status) => Ok(exit(status)),
            Err(error) => {
                let running = self.not_started(command, &error, Errors::To(Box::new(io::stderr())));
                running.finish()
            }
        }
    }

    fn program(&self, command: &Command) -> Result<Program, RemoteError> {
        let (name, arguments) =
            command
                .words()
                .split_first()
                .ok_or_else(|| RemoteError::NotRun {
                    host: self.host.clone(),
                    program: String::new(),
                    why: "it has no name".to_owned(),
                })?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a host on this machine is commanded without SSH; an argument list, never a shell"
        )]
        let mut program = Program::new(name);
        program.args(arguments);
        program.current_dir(match command.directory() {
            Some(directory) => self.home.join(directory),
            None => self.home.clone(),
        });
        Ok(program)
    }

    /// A command that ends at once, as a shell at the other end of SSH would let it.
    fn not_started(&self, command: &Command, error: &io::Error, errors: Errors) -> Running {
        let has_directory = command
            .directory()
            .is_none_or(|directory| self.home.join(directory).is_dir());
        let code = match error.kind() {
            io::ErrorKind::NotFound if has_directory => NOT_FOUND,
            _ => NOT_STARTED,
        };
        let what = match command.directory() {
            Some(directory) if !has_directory => directory,
            _ => command.program(),
        };
        let tail = Tail::default();
        let mut both = Both {
            kept: tail.clone(),
            errors,
        };
        let _ = io::Write::write_all(&mut both, format!("sns: {what}: {error}\n").as_bytes());
        Running {
            stdin: None,
            stdout: Some(Stdout(Source::Nothing)),
            errors: tail,
            process: AnyProcess::Local(Process {
                host: self.host.clone(),
                child: Err(code),
                errors: None,
            }),
        }
    }
}

/// Keeps the last of what is written, and passes all of it on where that was asked for.
struct Both {
    kept: Tail,
    errors: Errors,
}

impl io::Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.kept.push(bytes);
        if let Errors::To(target) = &mut self.errors {
            // The command must not be held up by a terminal that has gone.
            let _ = target.write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Process {
    pub(super) fn wait(&mut self) -> Result<Exit, RemoteError> {
        let exit = match &mut self.child {
            Err(code) => Ok(Exit::Code(*code)),
            Ok(child) => child.wait().map(exit).map_err(|error| RemoteError::Lost {
                host: self.host.clone(),
                why: error.to_string(),
            }),
        };
        if let Some(copier) = self.errors.take() {
            let _ = copier.join();
        }
        exit
    }

    /// Ends the process, if it still runs.
    pub(super) fn end(&mut self) {
        if let Ok(child) = &mut self.child {
            // An error means that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, Some(signal)) => Exit::by_signal(signal),
        (None, None) => Exit::Code(u8::MAX),
    }
}
