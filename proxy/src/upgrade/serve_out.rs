//! The process in which a program serves out its connections while another one takes its place: both ends of it.
//!
//! ```text
//! the program before ─starts─▶ itself: "ready", and waits
//!         │ execve                 │
//!         ▼                        ▼
//! the next program     its line is at an end: serves out, and ends
//! ```
//!
//! If the next program cannot be executed the line is not at its end: then the other process ends, having touched
//! nothing.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sns_proxy::{Event, Frozen, Patience, Proxy, Reporter};
use tokio::signal::unix::{SignalKind, signal};

/// What the program is asked for.
pub(crate) const WORD: &str = "serve-out";
/// What it says when everything is in its hands.
const READY: &[u8] = b"ready\n";
/// How long that may take.
const READY_MAX: Duration = Duration::from_secs(5);

/// A process that has everything, and waits.
#[derive(Debug)]
pub(super) struct Waiting {
    child: Child,
    /// Closed by `execve`, which is what it waits for.
    _line: UnixStream,
}

impl Waiting {
    /// Starts it: this same program, also when its file was replaced.
    pub(super) fn start(file: &Path, frozen: &Frozen) -> anyhow::Result<Self> {
        let failed = "cannot start the process that serves out the connections";
        let (mut line, theirs) = UnixStream::pair().context(failed)?;
        line.set_read_timeout(Some(READY_MAX)).context(failed)?;
        let packed = frozen.pack().context(failed)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "connections that the next program cannot carry stay with this one"
        )]
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(std::env::args_os().next().unwrap_or_default())
            .arg(WORD)
            .arg(file)
            .stdin(packed)
            .stdout(OwnedFd::from(theirs))
            // A signal for all is passed on to it, and should not come twice.
            .process_group(0);
        let child = command.spawn().context(failed)?;
        // From now on only the other process has the other end.
        drop(command);
        let mut said = [0; READY.len()];
        let heard = line.read_exact(&mut said);
        let waiting = Self { child, _line: line };
        if heard.is_err() || said != READY {
            waiting.call_off();
            bail!("the process that should serve out the connections cannot, look at its log");
        }
        Ok(waiting)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// It is not needed after all.
    pub(super) fn call_off(mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the process does.
pub(crate) fn run(file: &Path, report: Reporter) -> anyhow::Result<()> {
    crate::raise_descriptor_limit();
    let runtime = crate::runtime()?;
    runtime.block_on(until_served(file, report))
}

async fn until_served(file: &Path, report: Reporter) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let frozen = Frozen::unpack(rustix::stdio::stdin()).context("cannot take the connections")?;
    super::close_stdin();
    let helper = Some("/proc/self/exe".into());
    let report = only_of_connections(report);
    let mut proxy = Proxy::serve_out(file, helper, Patience::default(), report, frozen)?;
    // Nothing is carried before the first time that this function waits.
    if !is_let().context("cannot tell that everything is here")? {
        return Ok(());
    }
    loop {
        tokio::select! {
            () = proxy.ended() => return Ok(()),
            _ = hangup.recv() => proxy.reload().await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tokio::select! {
        () = proxy.stop() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Says that everything is here, and waits for the end of the line.
fn is_let() -> std::io::Result<bool> {
    let mut line = UnixStream::from(rustix::io::dup(rustix::stdio::stdout())?);
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    line.write_all(READY)?;
    Ok(line.read(&mut [0])? == 0)
}

/// The next program tells all that is to tell of files and proxies.
fn only_of_connections(report: Reporter) -> Reporter {
    Arc::new(move |event| {
        let is_own = matches!(
            event,
            Event::BackendFailed(..)
                | Event::NotServed { .. }
                | Event::NoHeader { .. }
                | Event::LeftOut(..)
                | Event::Broken(..)
                | Event::WorkerLost
                | Event::Draining(_)
                | Event::Cut(_)
                | Event::ServesOut(..)
                | Event::ServedOut
        );
        if is_own {
            report(event);
        }
    })
}
