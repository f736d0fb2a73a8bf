//! Translation in a process of its own, with bounds: a component that makes the compiler grow or run for
//! ever costs an error and not the daemon.
//!
//! The helper is the calling program itself, started with words that make it call [`translate`]. Component,
//! translated code and last words go through files in memory, so nobody waits for a pipe. What the helper
//! writes is as trustworthy as this program: it *is* this program.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, pidfd_open, set_parent_process_death_signal,
    setrlimit,
};

use crate::engine::settings;

/// Bytes of last words that are kept.
const SAID_BYTES_MAX: u64 = 4 * 1024;

/// How much one translation may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HelperLimits {
    /// Mebibytes of address space.
    pub memory_mib: u64,
    /// Seconds of processor time; as many of the clock, twice over, because the machine may be busy.
    pub cpu_seconds: u64,
    /// Mebibytes of translated code.
    pub output_mib: u64,
}

impl Default for HelperLimits {
    fn default() -> Self {
        Self {
            memory_mib: 1024,
            cpu_seconds: 120,
            output_mib: 256,
        }
    }
}

impl HelperLimits {
    /// The limits as words of a command line, see [`Self::parse`].
    fn words(self) -> [String; 3] {
        [self.memory_mib, self.cpu_seconds, self.output_mib].map(|number| number.to_string())
    }

    /// Reads the words that [`Helper`] puts behind the others of its command line.
    #[must_use]
    pub fn parse(words: &[u64]) -> Self {
        match *words {
            [memory_mib, cpu_seconds, output_mib] => Self {
                memory_mib,
                cpu_seconds,
                output_mib,
            },
            _ => Self::default(),
        }
    }

    /// The clock's bound. It ends a helper that waits for something.
    fn wall(self) -> Duration {
        Duration::from_secs(self.cpu_seconds.saturating_mul(2))
    }
}

/// How the helper is started.
#[derive(Debug, Clone)]
pub struct Helper {
    /// The program: the calling one.
    pub program: PathBuf,
    /// The words that make it call [`translate`]; those of the limits follow them.
    pub args: Vec<OsString>,
    /// Its bounds.
    pub limits: HelperLimits,
}

/// The helper brought no translation.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It could not be started or waited for.
    #[error("cannot run the process that translates plugins")]
    Run(#[source] io::Error),
    /// It ran into one of its limits, or failed.
    #[error("the translation was ended by signal {signal}: it may use {} MiB of memory, {} s of processor time and write {} MiB{}", .limits.memory_mib, .limits.cpu_seconds, .limits.output_mib, behind_colon(.said))]
    Ended {
        /// The number of the signal.
        signal: i32,
        /// What it was allowed.
        limits: HelperLimits,
        /// Its last words.
        said: String,
    },
    /// It took too long by the clock.
    #[error("the translation did not end within {} s", .0.as_secs())]
    Late(Duration),
    /// The component is wrong.
    #[error("{0}")]
    Refused(String),
}

fn behind_colon(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

impl Helper {
    /// The running program with these words, under the default limits.
    #[must_use]
    pub fn this_program(args: &[&str]) -> Self {
        Self {
            // Also when its file was replaced by an upgrade: the translation must fit this engine.
            program: PathBuf::from("/proc/self/exe"),
            args: args.iter().map(OsString::from).collect(),
            limits: HelperLimits::default(),
        }
    }

    /// Has a component translated. Blocks until the helper has ended, which is bounded.
    ///
    /// # Errors
    /// There is no translation.
    pub(crate) fn run(&self, component: &[u8]) -> Result<Vec<u8>, HelperError> {
        let mut input = memory("component").map_err(HelperError::Run)?;
        let mut output = memory("translation").map_err(HelperError::Run)?;
        let mut said = memory("last words").map_err(HelperError::Run)?;
        input
            .write_all(component)
            .and_then(|()| input.rewind())
            .map_err(HelperError::Run)?;
        let mut child = self
            .start(&input, &output, &said)
            .map_err(HelperError::Run)?;
        let status = wait(&mut child, self.limits.wall()).map_err(HelperError::Run)?;
        let words = last_words(&mut said);
        match status {
            None => Err(HelperError::Late(self.limits.wall())),
            Some(status) if status.success() => {
                let mut code = Vec::new();
                output
                    .rewind()
                    .and_then(|()| output.read_to_end(&mut code))
                    .map_err(HelperError::Run)?;
                Ok(code)
            }
            Some(status) => Err(match status.signal() {
                Some(signal) => HelperError::Ended {
                    signal,
                    limits: self.limits,
                    said: words,
                },
                None => HelperError::Refused(words),
            }),
        }
    }

    fn start(&self, input: &File, output: &File, said: &File) -> io::Result<Child> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the process that translates plugins is started"
        )]
        std::process::Command::new(&self.program)
            .args(&self.args)
            .args(self.limits.words())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(input.try_clone()?))
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(said.try_clone()?))
            .spawn()
    }
}

fn memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

fn last_words(said: &mut File) -> String {
    let mut bytes = Vec::new();
    if said.rewind().is_ok() {
        // What cannot be read was not said.
        let _ = said.take(SAID_BYTES_MAX).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits for the end of the child; one that is too late is killed, and there is no status.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let in_time = ends_within(child, limit);
    if !matches!(in_time, Ok(true)) {
        // Fails only when it has ended meanwhile.
        let _ = child.kill();
    }
    let status = child.wait()?;
    Ok(in_time?.then_some(status))
}

fn ends_within(child: &Child, limit: Duration) -> io::Result<bool> {
    let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let timeout = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: 0,
    };
    loop {
        let mut ends = [PollFd::new(&end, PollFlags::IN)];
        match poll(&mut ends, Some(&timeout)) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What the helper does: bounds itself, reads a component from `input` and writes its translation.
///
/// # Errors
/// The component cannot be translated; or the bounds cannot be set, without which nothing is translated.
pub fn translate(
    limits: HelperLimits,
    mut input: impl io::Read,
    mut output: impl Write,
) -> io::Result<()> {
    bound(limits)?;
    let mut component = Vec::new();
    input.read_to_end(&mut component)?;
    let engine = wasmtime::Engine::new(&settings()).map_err(io::Error::other)?;
    let code = engine
        .precompile_component(&component)
        .map_err(|error| io::Error::other(format!("{error:#}")))?;
    output.write_all(&code)?;
    output.flush()
}

fn bound(limits: HelperLimits) -> io::Result<()> {
    // A daemon that dies needs no translation any more.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mib = |number: u64| number.saturating_mul(1024 * 1024);
    for (resource, most) in [
        (Resource::As, mib(limits.memory_mib)),
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Fsize, mib(limits.output_mib)),
        (Resource::Core, 0),
    ] {
        let most = Some(most);
        setrlimit(
            resource,
            Rlimit {
                current: most,
                maximum: most,
            },
        )?;
    }
    Ok(())
}
