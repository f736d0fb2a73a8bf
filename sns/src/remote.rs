//! Hosts, wherever they are: commands run on this machine or over SSH, by the same calls.
//!
//! ```text
//! Remotes ─connect→ Remote ─run→ Running: stdin, stdout, how it ended
//!   │ route: host.env, JUMPHOST …      │ quote: one line of shell      (over SSH)
//!   │ session: dialled, host key, login │ local: a process              (HOST=local)
//! ```
//!
//! Everything blocks: a command that works on many hosts takes a thread for each. It prints nothing; it asks for a
//! passphrase on the terminal. How a project is arranged it learns from `hostfiles` alone.

mod command;
mod engine;
mod error;
mod exec;
mod hostkey;
mod keys;
mod local;
mod login;
mod pipe;
mod prompt;
mod quote;
mod route;
mod running;
mod session;
mod shell;
mod stream;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hostfiles::{HostEnv, SshHostKey};

use self::engine::Engine;
use self::error::{HopError, RouteError};
use self::exec::Far;
use self::keys::Keys;
use self::local::Near;
use self::login::Means;
use self::route::{Hop, route};
use self::session::Session;
use crate::environment::Environment;
use crate::project::Host;

pub(crate) use command::{Command, Exit, Output};
pub(crate) use error::RemoteError;
pub(crate) use hostkey::fingerprint;
pub(crate) use running::{Errors, Running};

/// What came of connecting to a host, kept for whoever wants the same one.
type Slot = Arc<tokio::sync::Mutex<Option<Result<Arc<Session>, Arc<HopError>>>>>;

/// All connections of one command of `sns`: at most one to each host, jump hosts included. Threads share it.
pub(crate) struct Remotes {
    engine: Arc<Engine>,
    home: PathBuf,
    term: String,
    agent: Option<PathBuf>,
    keys: Keys,
    sessions: Mutex<HashMap<PathBuf, Slot>>,
    warnings: Mutex<Warnings>,
}

#[derive(Default)]
struct Warnings {
    said: BTreeSet<String>,
    new: Vec<String>,
}

/// A host that can be commanded.
pub(crate) struct Remote {
    place: Place,
    term: String,
}

enum Place {
    Local(Near),
    Ssh(Far),
}

impl Remotes {
    /// For one command. Nothing is contacted yet.
    pub(crate) fn new(environment: &Environment) -> Result<Self, RemoteError> {
        let engine = Engine::start().map_err(|source| RemoteError::Here {
            attempt: "start the threads that carry connections",
            source: Arc::new(source),
        })?;
        let home = environment
            .home
            .as_ref()
            .unwrap_or(&environment.current_dir);
        Ok(Self {
            engine: Arc::new(engine),
            home: home.clone(),
            term: environment.term.clone(),
            agent: environment.ssh_agent.clone(),
            keys: Keys::default(),
            sessions: Mutex::default(),
            warnings: Mutex::default(),
        })
    }

    /// Connects to a host as the user that runs its pods, or takes the connection that there is.
    ///
    /// # Errors
    /// The host or one on the way to it cannot be reached, is another one, or does not let the user in.
    pub(crate) fn connect(&self, host: &Host) -> Result<Remote, RemoteError> {
        self.connect_with(host, &host.dir.host_env(), &host.env)
    }

    /// Connects to a host as the user that may administrate it.
    ///
    /// # Errors
    /// As [`Remotes::connect`].
    pub(crate) fn connect_as_super_user(
        &self,
        host: &Host,
        superuser: &HostEnv,
    ) -> Result<Remote, RemoteError> {
        self.connect_with(host, &host.dir.superuser_env(), superuser)
    }

    /// Connects to a host as root, whose settings stand in no file: only `sns host setup superuser` has use for it.
    ///
    /// # Errors
    /// As [`Remotes::connect`].
    pub(crate) fn connect_as_root(
        &self,
        host: &Host,
        root: &HostEnv,
    ) -> Result<Remote, RemoteError> {
        // A name of its own, so that it is no connection of another user; its folder has the pinned keys.
        self.connect_with(host, &host.dir.path().join(".host-root.env"), root)
    }

    /// Forgets all connections: who connects from now on gets fresh ones. Those in use stay.
    pub(crate) fn forget_connections(&self) {
        lock(&self.sessions).clear();
    }

    /// The key that a host's SSH server shows, whether it is pinned or not. Jump hosts must be pinned. None for a
    /// host on this machine.
    ///
    /// # Errors
    /// The host or one on the way to it cannot be reached.
    pub(crate) fn scan(&self, host: &Host) -> Result<Option<SshHostKey>, RemoteError> {
        let hops = self.route(host, &host.dir.host_env(), &host.env)?;
        let Some((last, jumps)) = hops.split_last() else {
            return Ok(None);
        };
        let scanned = self.engine.block_on(async {
            let through = self.open(jumps).await?;
            session::scan(last, through).await.map_err(Arc::new)
        });
        scanned
            .map(Some)
            .map_err(|source| unreached(host, jumps, source))
    }

    /// What the operator should know and was not told yet.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.warnings).new)
    }

    fn connect_with(&self, host: &Host, file: &Path, env: &HostEnv) -> Result<Remote, RemoteError> {
        let hops = self.route(host, file, env)?;
        let term = self.term.clone();
        let opened = self.engine.block_on(self.open(&hops));
        let place = match opened.map_err(|source| unreached(host, without_last(&hops), source))? {
            None => Place::Local(Near {
                host: host.name.to_string(),
                home: self.home.clone(),
                engine: Arc::clone(&self.engine),
            }),
            Some((_, session)) => Place::Ssh(Far {
                host: host.name.to_string(),
                engine: Arc::clone(&self.engine),
                session,
            }),
        };
        Ok(Remote { place, term })
    }

    fn route(&self, host: &Host, file: &Path, env: &HostEnv) -> Result<Vec<Hop>, RemoteError> {
        let failed = |source: RouteError| RemoteError::Route {
            host: host.name.to_string(),
            source: Arc::new(source),
        };
        let hops = route(file, env).map_err(failed)?;
        for hop in &hops {
            for flag in &hop.unknown_flags {
                self.warn(format!(
                    "FLAGS of host {} has `{flag}`, which is not understood and has no effect",
                    hop.name
                ));
            }
            if let Some(warning) = hop.key_file.as_deref().and_then(keys::exposed) {
                self.warn(warning);
            }
        }
        Ok(hops)
    }

    /// Opens hop after hop, and gives the last one. None without hops.
    async fn open<'h>(
        &self,
        hops: &'h [Hop],
    ) -> Result<Option<(&'h Hop, Arc<Session>)>, Arc<HopError>> {
        let mut through: Option<(&Hop, Arc<Session>)> = None;
        for (number, hop) in (1..).zip(hops) {
            let opened = self.open_one(hop, through).await;
            let session = opened.map_err(|source| match number == hops.len() {
                true => source,
                false => Arc::new(HopError::Jump {
                    name: hop.name.clone(),
                    source,
                }),
            })?;
            through = Some((hop, session));
        }
        Ok(through)
    }

    /// Opens one, unless it is open. Whoever wants the same one meanwhile waits, and shares the outcome.
    async fn open_one(
        &self,
        hop: &Hop,
        through: Option<(&Hop, Arc<Session>)>,
    ) -> Result<Arc<Session>, Arc<HopError>> {
        let slot = Arc::clone(lock(&self.sessions).entry(hop.file.clone()).or_default());
        let mut slot = slot.lock().await;
        match &*slot {
            Some(Ok(session)) if !session.is_closed() => return Ok(Arc::clone(session)),
            // A hundred hosts behind one jump host must not each wait for it in vain.
            Some(Err(error)) => return Err(Arc::clone(error)),
            _ => {}
        }
        let means = Means {
            keys: &self.keys,
            agent: self.agent.as_deref(),
        };
        let opened = Session::open(hop, through, &means).await;
        let outcome = opened.map(Arc::new).map_err(Arc::new);
        *slot = Some(outcome.clone());
        outcome
    }

    fn warn(&self, warning: String) {
        let mut warnings = lock(&self.warnings);
        if warnings.said.insert(warning.clone()) {
            warnings.new.push(warning);
        }
    }
}

impl Remote {
    /// Starts a command, and keeps the last of its standard error. Several may run at once: a server of OpenSSH lets
    /// ten, unless its `MaxSessions` says otherwise.
    ///
    /// # Errors
    /// The connection was lost, or the server runs no commands. A program that is not there is none: it ends with
    /// the exit status 127.
    pub(crate) fn run(&self, command: &Command) -> Result<Running, RemoteError> {
        self.run_with(command, Errors::Kept)
    }

    /// Starts a command, and says what becomes of its standard error.
    ///
    /// # Errors
    /// As [`Remote::run`].
    pub(crate) fn run_with(
        &self,
        command: &Command,
        errors: Errors,
    ) -> Result<Running, RemoteError> {
        match &self.place {
            Place::Local(near) => near.run(command, errors),
            Place::Ssh(far) => far.run(command, errors),
        }
    }

    /// Runs a command, gives it that input, and takes all its output: 64 MiB at most.
    ///
    /// # Errors
    /// As [`Remote::run`], or it says more.
    pub(crate) fn output(&self, command: &Command, input: &[u8]) -> Result<Output, RemoteError> {
        self.run(command)?.collect(command, input, self.host())
    }

    /// Runs a command with the operator's terminal, or with the streams of this process where it has none.
    ///
    /// # Errors
    /// As [`Remote::run`].
    pub(crate) fn shell(&self, command: &Command) -> Result<Exit, RemoteError> {
        match &self.place {
            Place::Local(near) => near.shell(command),
            Place::Ssh(far) => shell::shell(far, command, &self.term),
        }
    }

    /// The name of the host.
    pub(crate) fn host(&self) -> &str {
        match &self.place {
            Place::Local(near) => &near.host,
            Place::Ssh(far) => &far.host,
        }
    }

    /// True when it is this machine.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.place, Place::Local(_))
    }
}

fn unreached(host: &Host, jumps: &[Hop], source: Arc<HopError>) -> RemoteError {
    // One that was not reached itself is named by the cause.
    let reached = !matches!(*source, HopError::Jump { .. });
    RemoteError::Unreached {
        host: host.name.to_string(),
        jumps: match reached {
            true => jumps.iter().map(|hop| hop.name.clone()).collect(),
            false => Vec::new(),
        },
        source,
    }
}

fn without_last(hops: &[Hop]) -> &[Hop] {
    hops.split_last().map_or(&[], |(_, jumps)| jumps)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds one of these locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
