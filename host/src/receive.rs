//! The far end of a sync on this host: what `sns` speaks with, over SSH or beside it on the same machine.
//!
//! `simplenetes_sync` knows what a sync is; here is what only the daemon's own program can do for it: to try the
//! plugins that arrive, to make the keys of the host, and to wait for the confirmation in a process of its own.
//! Nothing but frames goes to standard output.

mod keys;
mod standing;
mod trial;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hostfiles::HostHome;
use names::ReleaseId;
use rustix::process::setsid;
use simplenetes_sync::far::{self, Hooks, SettleError, Settled};
use simplenetes_sync::wire::{HostKeys, Refusal, RefusalKind, Standing, WireError};

/// The word that `simplenetesd settle` says when a confirmation can be taken.
const READY: &str = "ready\n";

/// Serves one connection on standard input and output.
///
/// # Errors
/// The connection was lost in the middle, or whoever asks broke the protocol.
pub fn receive(home: HostHome, cache: PathBuf) -> Result<(), WireError> {
    let program = concat!("simplenetesd ", env!("CARGO_PKG_VERSION"));
    let mut daemon = Daemon { cache };
    far::serve(home, program, io::stdin(), io::stdout(), &mut daemon)
}

/// Waits for the confirmation of the sync whose lock is standard input.
///
/// # Errors
/// Nobody can wait, or the host can neither stay nor go back.
pub fn settle(home: &HostHome) -> Result<Settled, SettleError> {
    // The end of the connection that started it must not end it. It is no leader of a group yet, or one already.
    let _ = setsid();
    let lock =
        rustix::io::dup(rustix::stdio::stdin()).map_err(|error| SettleError::Wait(error.into()))?;
    far::settle(home, lock.into(), || {
        use std::io::Write as _;
        // Whoever does not read it any more knows that it was started.
        let _ = io::stdout().write_all(READY.as_bytes());
        let _ = io::stdout().flush();
        hush();
    })
}

/// A pipe that stays open would keep the connection open.
fn hush() {
    if let Ok(nothing) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&nothing);
        let _ = rustix::stdio::dup2_stderr(&nothing);
    }
}

struct Daemon {
    /// Where translated plugins are kept.
    cache: PathBuf,
}

impl Hooks for Daemon {
    fn try_plugins(
        &mut self,
        arriving: &BTreeMap<String, PathBuf>,
        plugins_yaml: &str,
    ) -> Result<(), Refusal> {
        trial::load_all(&self.cache, arriving, plugins_yaml).map_err(|error| Refusal {
            kind: RefusalKind::Plugin,
            ..in_words(&error)
        })
    }

    fn wait_to_be_confirmed(&mut self, home: &HostHome, lock: File) -> io::Result<()> {
        let mut waiting = settling(&std::env::current_exe()?, home.path(), lock.into()).spawn()?;
        let mut word = String::new();
        let said = waiting.stdout.take();
        said.map(|said| said.take(READY.len() as u64).read_to_string(&mut word))
            .transpose()?;
        match word == READY {
            true => Ok(()),
            false => Err(io::Error::other("it ended before it could wait")),
        }
    }

    fn standing(&mut self, home: &HostHome, release: &ReleaseId) -> Standing {
        standing::of(home, release)
    }

    fn ensure_keys(&mut self, home: &HostHome, host: &str) -> Result<HostKeys, Refusal> {
        keys::ensure(home, host).map_err(|error| in_words(&error))
    }

    fn rekey(
        &mut self,
        home: &HostHome,
        host: &str,
        proxy: bool,
        forget: bool,
    ) -> Result<HostKeys, Refusal> {
        let keys = match proxy {
            true => keys::rekey_proxy(home, host, forget),
            false => keys::rekey(home, host, forget),
        };
        keys.map_err(|error| in_words(&error))
    }
}

/// The process that waits.
fn settling(executable: &Path, home: &Path, lock: OwnedFd) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "it must outlive the connection, so it is a process of its own"
    )]
    let mut command = Command::new(executable);
    command
        .arg("settle")
        .arg(home)
        .stdin(Stdio::from(lock))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn in_words(error: &(dyn std::error::Error + 'static)) -> Refusal {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut words = chain.map(ToString::to_string);
    Refusal {
        kind: RefusalKind::Failed,
        message: words.next().unwrap_or_default(),
        causes: words.collect(),
    }
}
