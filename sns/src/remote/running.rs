//! A command that runs on a host: its streams, and how it ends. The same for this machine and for any other.

use std::io::{self, Read, Write};
use std::thread;

use super::command::{Command, Exit, Output};
use super::error::RemoteError;
use super::pipe::PipeReader;
use super::tail::Tail;
use super::{exec, local};

/// As much output is taken at once.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What becomes of the standard error of a command.
pub(crate) enum Errors {
    /// The last of it is kept, for a message.
    Kept,
    /// All of it goes there, and the last is kept too.
    To(Box<dyn Write + Send>),
}

/// A command that runs. Dropping it closes its streams and has it killed; a server of OpenSSH does the latter for
/// ordinary users only, so what runs as root has to look at its input.
pub(crate) struct Running {
    /// Its standard input; dropping it, or [`Stdin::close`], is its end.
    pub(crate) stdin: Option<Stdin>,
    /// Its standard output. Whoever leaves more than 4 MiB of it unread holds up the other commands on this
    /// connection too.
    pub(crate) stdout: Option<Stdout>,
    pub(super) errors: Tail,
    pub(super) process: Process,
}

/// The command itself.
pub(super) enum Process {
    /// On this machine.
    Local(local::Process),
    /// On another.
    Ssh(exec::Process),
}

/// The standard input of a command.
pub(crate) struct Stdin(pub(super) Input);

/// Where it leads.
pub(super) enum Input {
    Local(std::process::ChildStdin),
    Ssh(exec::Input),
}

/// The standard output of a command.
pub(crate) struct Stdout(pub(super) Source);

/// Where it comes from.
pub(super) enum Source {
    Local(std::process::ChildStdout),
    Ssh(PipeReader),
    /// A command that was never started.
    Nothing,
}

impl Stdin {
    /// Says that nothing more will come.
    pub(crate) fn close(self) {
        drop(self);
    }
}

impl Write for Stdin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Input::Local(pipe) => pipe.write(bytes),
            Input::Ssh(input) => input.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stdout {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Local(pipe) => pipe.read(buffer),
            Source::Ssh(pipe) => pipe.read(buffer),
            Source::Nothing => Ok(0),
        }
    }
}

impl Running {
    /// Closes its input, throws away what it still says, and waits for its end.
    ///
    /// # Errors
    /// The connection was lost first.
    pub(crate) fn finish(mut self) -> Result<Exit, RemoteError> {
        self.wait()
    }

    /// The last that it wrote to its standard error; all of that once it has ended.
    pub(crate) fn errors(&self) -> String {
        self.errors.text()
    }

    /// As [`Running::finish`], for whoever wants to know the errors afterwards.
    pub(crate) fn wait(&mut self) -> Result<Exit, RemoteError> {
        self.stdin = None;
        if let Some(mut rest) = self.stdout.take() {
            // An end is an end, however it came.
            let _ = io::copy(&mut rest, &mut io::sink());
        }
        match &mut self.process {
            Process::Local(process) => process.wait(),
            Process::Ssh(process) => process.wait(),
        }
    }

    /// Gives it that input and takes all its output, both at the same time.
    pub(super) fn collect(
        mut self,
        command: &Command,
        input: &[u8],
        host: &str,
    ) -> Result<Output, RemoteError> {
        let (stdin, stdout) = (self.stdin.take(), self.stdout.take());
        let mut taken = Vec::new();
        thread::scope(|scope| {
            scope.spawn(move || {
                if let Some(mut stdin) = stdin {
                    // One that does not want it says so by its exit code.
                    let _ = stdin.write_all(input);
                }
            });
            let bound = OUTPUT_BYTES_MAX as u64 + 1;
            // A connection that breaks ends the output; `wait` says so.
            let _ = stdout.map(|stdout| stdout.take(bound).read_to_end(&mut taken));
            if taken.len() > OUTPUT_BYTES_MAX {
                // Its input has to end too.
                self.end();
            }
        });
        if taken.len() > OUTPUT_BYTES_MAX {
            return Err(RemoteError::TooMuch {
                host: host.to_owned(),
                program: command.program().to_owned(),
                bytes_max: OUTPUT_BYTES_MAX,
            });
        }
        let exit = self.wait()?;
        Ok(Output {
            stdout: taken,
            stderr: self.errors.text(),
            exit,
        })
    }

    fn end(&mut self) {
        match &mut self.process {
            Process::Local(process) => process.end(),
            Process::Ssh(process) => process.end(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
