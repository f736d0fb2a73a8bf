//! A command over SSH: one channel, a task that serves it, and blocking ends for the threads of `sns`.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::command::{Command, Exit};
use super::engine::Engine;
use super::error::RemoteError;
use super::hostkey::visible;
use super::pipe::{PipeWriter, pipe};
use super::quote;
use super::running::{
    Errors, Input as AnyInput, Process as AnyProcess, Running, Source, Stdin, Stdout,
};
use super::session::Session;
use super::tail::Tail;

/// What is given to the connection at once.
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// The extended data that is standard error (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// How a channel ended: with what the server said about the command, or without.
pub(super) type Ending = Option<Option<Exit>>;

/// A host at the other end of a connection.
#[derive(Clone)]
pub(super) struct Far {
    pub(super) host: String,
    pub(super) engine: Arc<Engine>,
    pub(super) session: Arc<Session>,
}

/// A command at the other end.
pub(super) struct Process {
    far: Far,
    write: Arc<ChannelWriteHalf<Msg>>,
    ending: watch::Receiver<Ending>,
    pump: AbortHandle,
    errors: Option<JoinHandle<()>>,
}

/// The blocking end of its standard input.
pub(super) struct Input {
    engine: Arc<Engine>,
    write: Arc<ChannelWriteHalf<Msg>>,
    ending: watch::Receiver<Ending>,
}

impl Far {
    /// Runs a command without a terminal.
    pub(super) fn run(&self, command: &Command, errors: Errors) -> Result<Running, RemoteError> {
        let channel = self.engine.block_on(self.start(command, None))?;
        Ok(self.serve(channel, errors))
    }

    /// Opens a channel and lets the server start the command in it, perhaps with a terminal.
    pub(super) async fn start(
        &self,
        command: &Command,
        terminal: Option<(&str, (u32, u32))>,
    ) -> Result<Channel<Msg>, RemoteError> {
        let refused = |why: &str| RemoteError::NotRun {
            host: self.host.clone(),
            program: command.program().to_owned(),
            why: why.to_owned(),
        };
        let line = quote::line(command).ok_or_else(|| refused("a word of it has a NUL byte"))?;
        let failed = |error: russh::Error| match self.session.is_closed() {
            true => self.lost(),
            false => refused(&visible(&error.to_string())),
        };
        let mut channel = self.session.channel().await.map_err(failed)?;
        if let Some((term, (columns, rows))) = terminal {
            let asked = channel
                .request_pty(true, term, columns, rows, 0, 0, &[])
                .await;
            asked.map_err(failed)?;
            if !is_granted(&mut channel).await {
                return Err(refused("its server gives this user no terminal"));
            }
        }
        channel.exec(true, line).await.map_err(failed)?;
        match is_granted(&mut channel).await {
            true => Ok(channel),
            false if self.session.is_closed() => Err(self.lost()),
            false => Err(refused("its server does not run commands for this user")),
        }
    }

    /// Serves a channel in which a command was started.
    pub(super) fn serve(&self, channel: Channel<Msg>, errors: Errors) -> Running {
        let (read, write) = channel.split();
        let write = Arc::new(write);
        let (ended, ending) = watch::channel(None);
        let (out, stdout) = pipe();
        let tail = Tail::default();
        let (passed, copier) = match errors {
            Errors::Kept => (None, None),
            Errors::To(mut target) => {
                let (writer, mut reader) = pipe();
                let copy = move || {
                    // Nobody can be told that the standard error has gone.
                    let _ = io::copy(&mut reader, &mut target);
                };
                (Some(writer), Some(thread::spawn(copy)))
            }
        };
        let ends = Ends {
            out,
            passed,
            tail: tail.clone(),
            ended,
        };
        let pump = self.engine.spawn(ends.pump(read));
        let input = Input {
            engine: Arc::clone(&self.engine),
            write: Arc::clone(&write),
            ending: ending.clone(),
        };
        Running {
            stdin: Some(Stdin(AnyInput::Ssh(input))),
            stdout: Some(Stdout(Source::Ssh(stdout))),
            errors: tail,
            process: AnyProcess::Ssh(Process {
                far: self.clone(),
                write,
                ending,
                pump,
                errors: copier,
            }),
        }
    }

    fn lost(&self) -> RemoteError {
        RemoteError::Lost {
            host: self.host.clone(),
            why: self.session.why(),
        }
    }
}

/// Waits for the answer to a request; a server may say other things first.
async fn is_granted(channel: &mut Channel<Msg>) -> bool {
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Success => return true,
            ChannelMsg::Failure | ChannelMsg::Close => return false,
            _ => {}
        }
    }
    false
}

/// Where what comes from the server goes.
struct Ends {
    out: PipeWriter,
    passed: Option<PipeWriter>,
    tail: Tail,
    ended: watch::Sender<Ending>,
}

impl Ends {
    async fn pump(self, mut read: ChannelReadHalf) {
        let mut exit = None;
        while let Some(message) = read.wait().await {
            match message {
                ChannelMsg::Data { data } => self.out.write(&data).await,
                ChannelMsg::ExtendedData { data, ext: STDERR } => {
                    self.tail.push(&data);
                    if let Some(passed) = &self.passed {
                        passed.write(&data).await;
                    }
                }
                ChannelMsg::ExitStatus { exit_status } => {
                    exit = Some(Exit::Code(u8::try_from(exit_status).unwrap_or(u8::MAX)));
                }
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    exit = Some(Exit::Signal(name(&signal_name)));
                }
                ChannelMsg::Eof => self.out.end(),
                ChannelMsg::Close => break,
                _ => {}
            }
        }
        self.ended.send_replace(Some(exit));
    }
}

fn name(signal: &Sig) -> String {
    match signal {
        // Servers add their own names as NAME@DOMAIN.
        Sig::Custom(name) => visible(name.split('@').next().unwrap_or(name)),
        known => format!("{known:?}"),
    }
}

impl Process {
    pub(super) fn wait(&mut self) -> Result<Exit, RemoteError> {
        let ending = &mut self.ending;
        let exit = self.far.engine.block_on(async {
            let ended = ending.wait_for(Option::is_some).await;
            ended.ok().and_then(|ended| ended.clone().flatten())
        });
        if let Some(copier) = self.errors.take() {
            let _ = copier.join();
        }
        exit.ok_or_else(|| self.far.lost())
    }

    /// Ends the command, if it still runs.
    pub(super) fn end(&mut self) {
        if self.ending.borrow().is_some() {
            return;
        }
        let write = Arc::clone(&self.write);
        self.far.engine.spawn(async move {
            // Not every server passes signals on; the closed channel is a sign too.
            let _ = write.signal(Sig::KILL).await;
            let _ = write.close().await;
        });
        // A server lets the channel stand until the command has ended, which it may not. Whoever reads or writes is
        // not left waiting for that.
        self.pump.abort();
    }

    /// A new size of the terminal.
    pub(super) async fn resize(write: &ChannelWriteHalf<Msg>, (columns, rows): (u32, u32)) {
        // A connection that has gone shows elsewhere.
        let _ = write.window_change(columns, rows, 0, 0).await;
    }

    /// The end that requests go to.
    pub(super) fn requests(&self) -> Arc<ChannelWriteHalf<Msg>> {
        Arc::clone(&self.write)
    }
}

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (chunk, _) = bytes.split_at(bytes.len().min(CHUNK_BYTES_MAX));
        if chunk.is_empty() {
            return Ok(0);
        }
        let (write, ending) = (&self.write, &mut self.ending);
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.engine.block_on(async {
            tokio::select! {
                sent = write.data_bytes(chunk.to_vec()) => sent.map_err(|_| broken()),
                // A window that never opens again must not be waited for.
                _ = ending.wait_for(Option::is_some) => Err(broken()),
            }
        })?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let write = Arc::clone(&self.write);
        // In its turn behind what was written before, but nobody waits for that. A command that has ended does not
        // need it.
        self.engine.spawn(async move {
            let _ = write.eof().await;
        });
    }
}
