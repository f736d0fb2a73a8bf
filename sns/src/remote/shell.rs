//! A command with the operator at it: with a terminal where there is one, with the three streams of `sns` otherwise.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::command::{Command, Exit};
use super::error::RemoteError;
use super::exec::{Far, Process};
use super::running::{Errors, Process as AnyProcess, Running, Stdin};

/// What is passed on at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Runs a command at the other end, and gives it what is typed or fed here until it ends.
pub(super) fn shell(far: &Far, command: &Command, term: &str) -> Result<Exit, RemoteError> {
    let has_terminal =
        io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    if !has_terminal {
        let running = far.run(command, Errors::To(Box::new(io::stderr())))?;
        return connect(running);
    }
    let channel = far
        .engine
        .block_on(far.start(command, Some((term, size()))))?;
    let running = far.serve(channel, Errors::To(Box::new(io::stderr())));
    if let AnyProcess::Ssh(process) = &running.process {
        let requests = process.requests();
        far.engine.spawn(async move {
            let Ok(mut changes) = signal(SignalKind::window_change()) else {
                return;
            };
            while changes.recv().await.is_some() {
                Process::resize(&requests, size()).await;
            }
        });
    }
    let _raw = Raw::enter();
    connect(running)
}

/// Connects the streams of this process with those of the command.
fn connect(mut running: Running) -> Result<Exit, RemoteError> {
    if let Some(stdin) = running.stdin.take() {
        // It may wait for a key when the command has ended; it ends with the process.
        thread::spawn(move || feed(stdin));
    }
    let heard = running
        .stdout
        .take()
        .is_none_or(|mut stdout| pass_on(&mut stdout));
    match heard {
        true => running.finish(),
        // Dropping the command ends it, as a pipe does that nobody reads.
        false => Ok(Exit::Signal("PIPE".to_owned())),
    }
}

fn feed(mut stdin: Stdin) {
    let mut input = io::stdin().lock();
    let mut buffer = [0; CHUNK_BYTES];
    while let Ok(count @ 1..) = input.read(&mut buffer) {
        let taken = buffer.get(..count).map(|bytes| stdin.write_all(bytes));
        if !matches!(taken, Some(Ok(()))) {
            return;
        }
    }
    stdin.close();
}

/// True when all of it was passed on.
fn pass_on(stdout: &mut impl io::Read) -> bool {
    let mut output = io::stdout().lock();
    let mut buffer = [0; CHUNK_BYTES];
    while let Ok(count @ 1..) = stdout.read(&mut buffer) {
        let bytes = buffer.get(..count).unwrap_or_default();
        // Each piece at once: a person waits for it.
        if output
            .write_all(bytes)
            .and_then(|()| output.flush())
            .is_err()
        {
            return false;
        }
    }
    true
}

/// Columns and rows of the terminal.
fn size() -> (u32, u32) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) => (u32::from(size.ws_col), u32::from(size.ws_row)),
        Err(_) => (80, 24),
    }
}

/// The terminal gives every key to the other end, until this is dropped.
struct Raw(Option<Arc<Termios>>);

impl Raw {
    fn enter() -> Self {
        let Ok(former) = tcgetattr(io::stdin()) else {
            return Self(None);
        };
        let mut raw = former.clone();
        raw.make_raw();
        let entered = tcsetattr(io::stdin(), OptionalActions::Drain, &raw);
        Self(entered.is_ok().then(|| Arc::new(former)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(former) = &self.0 {
            // A terminal that has gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, former);
        }
    }
}
