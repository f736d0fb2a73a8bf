//! A new binary in the place of the running one: same process, same connections.
//!
//! ```text
//! probe the new program ─▶ freeze ─▶ have it rehearse ─▶ pack into a socket, which becomes stdin ─▶ execve ─▶ resume
//!        └─ it cannot: nothing has happened   └─ it fails: resume here                        └─ here too
//! ```
//!
//! A program that knows another form of the state takes over the doors alone; the connections stay with this program,
//! in a process of their own (`serve_out`).
//!
//! Signals that arrive between the two programs wait, instead of ending the process.

mod predecessors;
pub(crate) mod serve_out;

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::execve;
use sns_proxy::{DOORS_FORMAT, FORMAT, Frozen};
use tokio::time::timeout;

pub(crate) use self::predecessors::Predecessors;
use self::serve_out::Waiting;
use crate::ask;

/// Says to the next program that its standard input is what the one before has carried.
const RESUME: &str = "SNS_PROXY_RESUME";
/// What a program is asked for that shall go on.
pub(crate) const FORMAT_WORD: &str = "state-format";
pub(crate) const DOORS_WORD: &str = "doors-format";
/// What it is asked to do before everything is given to it, and what it says when it could.
pub(crate) const REHEARSE_WORD: &str = "rehearse";
const REHEARSED: &str = "fits\n";
/// How long it may take to answer.
const PROBE_MAX: Duration = Duration::from_secs(5);
/// How long an upgrade may take.
const UPGRADE_MAX: Duration = Duration::from_secs(10);

/// The program that runs.
pub(crate) struct Program {
    path: PathBuf,
    file: Option<(u64, u64, i64)>,
}

impl Program {
    /// This one.
    pub(crate) fn own() -> Self {
        let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
        let file = std::fs::metadata(&path).ok().map(|found| identity(&found));
        Self { path, file }
    }

    /// Another one that stands in its place now, if any.
    pub(crate) fn replaced(&self) -> Option<&Path> {
        let found = std::fs::metadata(&self.path).ok()?;
        (Some(identity(&found)) != self.file).then_some(self.path.as_path())
    }
}

fn identity(found: &Metadata) -> (u64, u64, i64) {
    (found.dev(), found.ino(), found.mtime())
}

/// Signals that mean something to this program.
fn signals() -> SigSet {
    SigSet::from_iter([Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT])
}

/// From now on they are heard again, those too that have waited.
pub(crate) fn hear_signals() {
    // Nothing can be wrong with a set of signals.
    let _ = signals().thread_unblock();
}

/// What a program can go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Everything,
    /// The ports, and not what is connected.
    Doors,
}

/// What a program can go on with, provided that it can use this proxy.conf.
pub(crate) async fn probe(
    program: &Path,
    file: &Path,
    predecessors: &mut Predecessors,
) -> anyhow::Result<Takes> {
    let shown = program.display();
    let format = number(program, FORMAT_WORD).await?;
    let format = format
        .with_context(|| format!("{shown} is no sns-proxy that can go on with connections"))?;
    let takes = if format == FORMAT {
        Takes::Everything
    } else {
        let doors = number(program, DOORS_WORD).await?;
        if doors.is_none_or(|doors| doors < DOORS_FORMAT) {
            bail!(
                "{shown} goes on with connections of format {format} only, and these have {FORMAT}: start it in \
                 the place of this one, whose connections then have as long as DRAIN says"
            );
        }
        if !predecessors.has_room() {
            bail!(
                "{shown} cannot go on with the connections of this program, and too many programs before this \
                 one still serve out theirs: try again when one of them has ended"
            );
        }
        Takes::Doors
    };
    let output = run(program, &["check".as_ref(), file.as_os_str()], None).await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{shown} cannot use {}: {}", file.display(), said.trim());
    }
    Ok(takes)
}

/// The number that it says, if it says one.
async fn number(program: &Path, word: &str) -> anyhow::Result<Option<u32>> {
    let output = run(program, &[word.as_ref()], None).await?;
    let said = String::from_utf8_lossy(&output.stdout);
    let number = said.trim().parse().ok();
    Ok(number.filter(|_| output.status.success()))
}

/// Has a program try to go on, in a process that ends at once.
async fn rehearse(program: &Path, frozen: &Frozen) -> anyhow::Result<()> {
    let packed = frozen.pack().context("no room for what is carried")?;
    let output = run(program, &[REHEARSE_WORD.as_ref()], Some(packed)).await?;
    if !output.status.success() || output.stdout != REHEARSED.as_bytes() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("it cannot go on with what is carried: {}", said.trim());
    }
    Ok(())
}

/// What a program does that shall rehearse.
pub(crate) fn rehearsed() -> anyhow::Result<&'static str> {
    let frozen = Frozen::unpack(rustix::stdio::stdin()).context("cannot take what is carried")?;
    frozen
        .rehearse()
        .context("cannot go on with what is carried")?;
    Ok(REHEARSED)
}

async fn run(
    program: &Path,
    arguments: &[&OsStr],
    stdin: Option<OwnedFd>,
) -> anyhow::Result<Output> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program is tried before everything is given to it"
    )]
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
        .kill_on_drop(true);
    let failed = || format!("cannot try {}", program.display());
    timeout(PROBE_MAX, command.output())
        .await
        .with_context(failed)?
        .with_context(failed)
}

/// Goes on as another program. Returns only when that cannot be: then nothing has changed.
pub(crate) async fn go_on(
    program: &Path,
    takes: Takes,
    file: &Path,
    frozen: &Frozen,
    predecessors: &Predecessors,
) -> anyhow::Error {
    match try_to_go_on(program, takes, file, frozen, predecessors).await {
        Ok(error) => error.into(),
        Err(error) => error,
    }
}

async fn try_to_go_on(
    program: &Path,
    takes: Takes,
    file: &Path,
    frozen: &Frozen,
    predecessors: &Predecessors,
) -> anyhow::Result<io::Error> {
    if takes == Takes::Everything {
        rehearse(program, frozen).await?;
        return Ok(exec(program, frozen, predecessors.with(None)));
    }
    let doors = frozen.doors().context("cannot share the ports")?;
    rehearse(program, &doors).await?;
    let waiting = Waiting::start(file, frozen)?;
    let error = exec(program, &doors, predecessors.with(Some(waiting.id())));
    waiting.call_off();
    Ok(error)
}

fn exec(program: &Path, frozen: &Frozen, variable: OsString) -> io::Error {
    let packed = frozen
        .pack()
        .and_then(|socket| Ok(rustix::stdio::dup2_stdin(&socket)?));
    if let Err(error) = packed {
        return error;
    }
    // Nothing can be wrong with a set of signals.
    let _ = signals().thread_block();
    let error = execute(program, variable);
    hear_signals();
    close_stdin();
    error
}

/// The library's own way to do this changes what signals mean, also when it fails.
fn execute(program: &Path, variable: OsString) -> io::Error {
    let text = |text: OsString| CString::new(text.into_vec());
    let own = |(name, value): (OsString, OsString)| {
        let is_own = name != RESUME && name != predecessors::VARIABLE;
        is_own.then(|| [name, value].join("=".as_ref()))
    };
    let prepare = move || -> Result<_, std::ffi::NulError> {
        let arguments = std::iter::once(program.as_os_str().to_owned())
            .chain(std::env::args_os().skip(1))
            .map(text)
            .collect::<Result<Vec<_>, _>>()?;
        let resume = OsString::from(format!("{RESUME}=1"));
        let variables = std::env::vars_os().filter_map(own);
        let variables = variables.chain([resume, variable]).map(text);
        let path = text(program.as_os_str().to_owned())?;
        Ok((path, arguments, variables.collect::<Result<Vec<_>, _>>()?))
    };
    match prepare() {
        Ok((path, arguments, variables)) => {
            let Err(errno) = execve(&path, &arguments, &variables);
            errno.into()
        }
        Err(error) => error.into(),
    }
}

/// What the program before this one has carried, if there was one.
pub(crate) fn resumed() -> anyhow::Result<Option<Frozen>> {
    if std::env::var_os(RESUME).is_none() {
        return Ok(None);
    }
    let frozen = Frozen::unpack(rustix::stdio::stdin());
    close_stdin();
    let frozen = frozen.context("cannot take over from the program before this one")?;
    Ok(Some(frozen))
}

/// Nobody else shall find what is there.
fn close_stdin() {
    if let Ok(null) = File::open("/dev/null") {
        // It stays as it is then, and is empty.
        let _ = rustix::stdio::dup2_stdin(&null);
    }
}

/// `sns-proxy upgrade FILE`: the proxy that runs with FILE goes on as this program.
pub(crate) fn ask(file: &Path) -> anyhow::Result<String> {
    let socket = ask::socket(file)?;
    let pid = ask::pid(&socket)?;
    // The next program makes a socket of its own, also when it is the same one as before.
    let made = |path: &Path| {
        let found = std::fs::symlink_metadata(path).ok()?;
        Some((found.ino(), found.ctime(), found.ctime_nsec()))
    };
    let before = made(&socket);
    ask::post(&socket, "/upgrade")?;
    let own = std::env::current_exe().context("cannot see which program this is")?;
    let running = || std::fs::read_link(format!("/proc/{pid}/exe"));
    let until = std::time::Instant::now() + UPGRADE_MAX;
    while std::time::Instant::now() < until {
        let is_new = made(&socket).is_some_and(|made| Some(made) != before);
        let is_own = is_new && running().is_ok_and(|running| running == own);
        if is_own && ask::get(&socket, "/metrics").is_ok() {
            return Ok(format!("process {pid} goes on as {}\n", own.display()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let now: OsString = running().map_or_else(|_| "gone".into(), Into::into);
    bail!(
        "process {pid} did not go on as {} within {} s: it is {}. Look at its log",
        own.display(),
        UPGRADE_MAX.as_secs(),
        now.display()
    )
}
