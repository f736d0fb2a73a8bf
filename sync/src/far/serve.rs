//! The far end of a sync: answers what the near end asks about one host home, until the connection ends.
//!
//! Whatever is locked or staged is let go when the connection ends; what is applied is applied. What only the daemon
//! knows how to do (to load a plugin, to make keys, to start another process) is asked of its [`Hooks`].

mod refusal;
mod staging;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use hostfiles::{ClusterId, CommitChain, HostHome, read_if_present};
use names::ReleaseId;

use super::confirm::{self, Unconfirmed};
use super::journal::SyncDir;
use super::present::present;
use super::{
    Far, FarError, Holder, Marks, Recovered, Takeover, check_cluster, init, owner, settle,
};
use crate::wire::{
    Answer, Ask, Channel, Frame, HostKeys, PROTOCOLS, Refusal, RefusalKind, Seen, Standing,
    WireError, check_tree,
};
use crate::{Digest, Options, Tree, plan};

use refusal::{of, of_init, out_of_turn, refused, words};
use staging::Stage;

/// What the far end asks of the program that it is part of.
pub trait Hooks {
    /// Loads the plugins that arrive, by file name, with what `plugins_yaml` grants them. Nothing has changed yet.
    ///
    /// # Errors
    /// One does not load: the sync is refused.
    fn try_plugins(
        &mut self,
        arriving: &BTreeMap<String, PathBuf>,
        plugins_yaml: &str,
    ) -> Result<(), Refusal>;

    /// Starts whoever waits for the confirmation (see [`super::settle()`]), with the lock, and returns when a
    /// confirmation can be taken.
    ///
    /// # Errors
    /// Nobody waits.
    fn wait_to_be_confirmed(&mut self, home: &HostHome, lock: File) -> io::Result<()>;

    /// What has become of a release.
    fn standing(&mut self, home: &HostHome, release: &ReleaseId) -> Standing;

    /// Makes sure that the host has keys.
    ///
    /// # Errors
    /// They cannot be read or made.
    fn ensure_keys(&mut self, home: &HostHome, host: &str) -> Result<HostKeys, Refusal>;

    /// Makes a new key, or forgets those before the newest.
    ///
    /// # Errors
    /// They cannot be read or made.
    fn rekey(
        &mut self,
        home: &HostHome,
        host: &str,
        proxy: bool,
        forget: bool,
    ) -> Result<HostKeys, Refusal>;
}

/// Serves one connection.
///
/// # Errors
/// The connection was lost in the middle, or the near end broke the protocol.
pub fn serve(
    home: HostHome,
    program: &str,
    reader: impl Read + Send + 'static,
    writer: impl Write + Send + 'static,
    hooks: &mut dyn Hooks,
) -> Result<(), WireError> {
    let mut session = Session {
        home,
        channel: Channel::far(reader, writer)?,
        hooks,
    };
    session.greet(program)?;
    session.run()
}

struct Session<'a> {
    home: HostHome,
    channel: Channel,
    hooks: &'a mut dyn Hooks,
}

type Answered = Result<Answer, Refusal>;

impl Session<'_> {
    fn greet(&mut self, program: &str) -> Result<(), WireError> {
        let Some(Ask::Hello { protocols, .. }) = self.ask()? else {
            return self.answer(Err(out_of_turn("expected a greeting")));
        };
        let spoken = PROTOCOLS.iter().find(|known| protocols.contains(known));
        let Some(protocol) = spoken else {
            return self.answer(Err(refused(
                RefusalKind::Protocol,
                format!(
                    "{program} speaks versions {PROTOCOLS:?} of the protocol, not {protocols:?}: install the same version of Simplenetes on both sides"
                ),
            )));
        };
        self.answer(Ok(Answer::Greeting {
            protocol: *protocol,
            program: program.to_owned(),
        }))
    }

    fn run(&mut self) -> Result<(), WireError> {
        while let Some(ask) = self.ask()? {
            let answered = match ask {
                Ask::Look { cluster, wanted } => self.look(&cluster, &wanted),
                Ask::Lock {
                    cluster,
                    wanted,
                    holder,
                } => match self.lock(&cluster, &wanted, &holder) {
                    Ok((far, seen)) => {
                        self.answer(Ok(seen))?;
                        return self.locked(far);
                    }
                    Err(refusal) => Err(refusal),
                },
                Ask::Standings { cluster, releases } => self.standings(&cluster, &releases),
                Ask::Collect {
                    cluster,
                    holder,
                    keep,
                    dry_run,
                } => self.collect(&cluster, &holder, keep, dry_run),
                Ask::Confirm { cluster, token } => self.confirm(&cluster, &token),
                Ask::Init {
                    cluster,
                    host,
                    takes_over,
                    registry_config,
                } => self.init(&cluster, &host, takes_over, registry_config),
                Ask::Rekey {
                    cluster,
                    host,
                    proxy,
                    forget,
                } => self.rekey(&cluster, &host, proxy, forget),
                _ => Err(out_of_turn("the host home is not locked")),
            };
            self.answer(answered)?;
        }
        Ok(())
    }

    /// The next question; none when the near end has gone away.
    fn ask(&self) -> Result<Option<Ask>, WireError> {
        match self.channel.receive() {
            Err(WireError::Lost(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            frame => frame?.parse().map(Some),
        }
    }

    fn answer(&self, answered: Answered) -> Result<(), WireError> {
        let answer = answered.unwrap_or_else(Answer::Refused);
        self.channel.send(&Frame::message(&answer))
    }

    fn look(&self, cluster: &str, wanted: &Digest) -> Answered {
        let cluster = cluster_id(cluster)?;
        owner::check(self.home.path()).map_err(|error| of(&error.into()))?;
        check_cluster(&self.home, &cluster).map_err(|error| of(&error))?;
        let chain = read_if_present::<CommitChain>(&self.home.commit_chain());
        let present = present(&self.home).map_err(|error| of(&error.into()))?;
        let chain = chain.map_err(FarError::UnknownCommits);
        Ok(self.seen(chain.map(Option::unwrap_or_default), present, wanted, None))
    }

    fn lock(
        &self,
        cluster: &str,
        wanted: &Digest,
        holder: &Holder,
    ) -> Result<(Locked, Answer), Refusal> {
        let cluster = cluster_id(cluster)?;
        let far = Far::open(self.home.clone(), &cluster, holder).map_err(|error| of(&error))?;
        let present = far.present().map_err(|error| of(&error))?;
        let recovered = match far.recovered() {
            Recovered::Finished => Some("finished"),
            Recovered::Undone => Some("undone"),
            Recovered::Reverted => Some("reverted"),
            Recovered::Nothing | Recovered::Busy(_) => None,
        };
        let seen = self.seen(far.commit_chain(), present.clone(), wanted, recovered);
        Ok((Locked { far, present }, seen))
    }

    fn seen(
        &self,
        chain: Result<CommitChain, FarError>,
        present: Tree,
        wanted: &Digest,
        recovered: Option<&str>,
    ) -> Answer {
        let synced = std::fs::read(SyncDir::of(&self.home).synced()).ok();
        let synced: Option<Tree> = synced.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let drift = synced.map(|synced| plan::plan(&synced, &present, &Options::default()));
        let unconfirmed = Unconfirmed::read(&self.home);
        Answer::Seen(Box::new(Seen {
            chain: chain
                .map(|chain| chain.hashes().to_vec())
                // The first words are those of the near end.
                .map_err(|error| words(&error).split_off(1).join(": ")),
            present: (present.digest() != *wanted).then_some(present),
            drift,
            reverted: confirm::reverted(&self.home),
            recovered: recovered.map(str::to_owned),
            unconfirmed: unconfirmed.map(|found| found.commit.unwrap_or_default()),
        }))
    }

    fn locked(&mut self, mut locked: Locked) -> Result<(), WireError> {
        while let Some(ask) = self.ask()? {
            match ask {
                Ask::Record { chain, wanted } => {
                    let recorded = chain_of(chain).and_then(|chain| {
                        locked
                            .far
                            .record(&chain, &wanted)
                            .map_err(|error| of(&error))
                    });
                    self.answer(recorded.map(|()| Answer::Done))?;
                }
                Ask::Stage {
                    plan,
                    wanted,
                    chain,
                    recipes,
                    confirmation,
                } => {
                    let marks = chain.map(chain_of).transpose().map(|chain| Marks {
                        chain,
                        confirmation,
                    });
                    let checked = marks.and_then(|marks| {
                        check_tree(&wanted).map_err(|why| refused(RefusalKind::Protocol, why))?;
                        Ok(marks)
                    });
                    match checked {
                        Err(refusal) => self.answer(Err(refusal))?,
                        Ok(marks) => {
                            let stage = Stage {
                                plan: &plan,
                                wanted: &wanted,
                                marks: &marks,
                            };
                            self.stage(&mut locked, &stage, &recipes)?;
                        }
                    }
                }
                _ => self.answer(Err(out_of_turn("the host home is locked")))?,
            }
        }
        Ok(())
    }

    fn standings(&mut self, cluster: &str, releases: &[ReleaseId]) -> Answered {
        let cluster = cluster_id(cluster)?;
        check_cluster(&self.home, &cluster).map_err(|error| of(&error))?;
        let standings = releases
            .iter()
            .map(|release| self.hooks.standing(&self.home, release));
        Ok(Answer::Standings {
            standings: standings.collect(),
        })
    }

    fn collect(&self, cluster: &str, holder: &Holder, keep: u32, dry_run: bool) -> Answered {
        let cluster = cluster_id(cluster)?;
        let far = Far::open(self.home.clone(), &cluster, holder);
        let mut far = far.map_err(|error| of(&error))?;
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        let releases = far.collect(keep, dry_run).map_err(|error| of(&error))?;
        Ok(Answer::Collected { releases })
    }

    fn confirm(&self, cluster: &str, token: &str) -> Answered {
        let cluster = cluster_id(cluster)?;
        check_cluster(&self.home, &cluster).map_err(|error| of(&error))?;
        match settle::confirm(&self.home, token) {
            Ok(true) => Ok(Answer::Done),
            Ok(false) => {
                let why = confirm::reverted(&self.home).map_or_else(
                    || "no sync waits for this confirmation".to_owned(),
                    |reverted| format!("it went back by itself: {}", reverted.why),
                );
                Err(refused(RefusalKind::Unconfirmed, why))
            }
            Err(error) => Err(refused(
                RefusalKind::Failed,
                format!("whoever waits for the confirmation does not answer: {error}"),
            )),
        }
    }

    fn init(
        &mut self,
        cluster: &str,
        host: &str,
        takes_over: bool,
        registry_config: Option<String>,
    ) -> Answered {
        let cluster = cluster_id(cluster)?;
        let takeover = match takes_over {
            true => Takeover::Forced,
            false => Takeover::Refused,
        };
        let made = init(&self.home, &cluster, takeover);
        let is_new = made.map_err(|error| of_init(&error))?;
        if let Some(logins) = registry_config {
            let path = self.home.registry_config();
            hostfiles::replace(&path, logins.as_bytes(), 0o600)
                .map_err(|error| of(&FarError::CommitChain(error)))?;
        }
        let keys = self.hooks.ensure_keys(&self.home, host)?;
        Ok(Answer::Keys(HostKeys { is_new, ..keys }))
    }

    fn rekey(&mut self, cluster: &str, host: &str, proxy: bool, forget: bool) -> Answered {
        let cluster = cluster_id(cluster)?;
        check_cluster(&self.home, &cluster).map_err(|error| of(&error))?;
        let keys = self.hooks.rekey(&self.home, host, proxy, forget)?;
        Ok(Answer::Keys(keys))
    }
}

/// A host home under the lock of this connection.
struct Locked {
    far: Far,
    present: Tree,
}

fn cluster_id(text: &str) -> Result<ClusterId, Refusal> {
    text.parse()
        .map_err(|_| refused(RefusalKind::Protocol, format!("{text:?} is no cluster id")))
}

fn chain_of(hashes: Vec<String>) -> Result<CommitChain, Refusal> {
    CommitChain::new(hashes).map_err(|error| refused(RefusalKind::Protocol, error.to_string()))
}
