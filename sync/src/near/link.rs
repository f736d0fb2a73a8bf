//! The near end of a connection to a host: one method for each thing that can be asked.
//!
//! Believes nothing of what the host says but about itself. Must not know how the connection was made.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use hostfiles::{ClusterId, CommitChain};
use names::{HostName, ReleaseId};

use super::pieces::{Pieces, recipes, total};
use super::told::{asked_in_vain, check_need, plain, plain_seen, plain_standing};
use super::{NearError, Wanted};
use crate::chunks::Recipe;
use crate::far::Holder;
use crate::wire::{
    Answer, Ask, Channel, Confirmation, Frame, HostKeys, Need, PROTOCOLS, Refusal, Seen, Standing,
    Traffic, WireError,
};
use crate::{Digest, Plan, Tree};

/// Small contents are sent together up to this many bytes.
const CONTENTS_BYTES_MAX: usize = 1024 * 1024;

/// A host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is gone, or does not speak as it should.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The project does not have what should be sent.
    #[error(transparent)]
    Near(#[from] NearError),
}

/// A connection to the far end on one host.
#[derive(Debug)]
pub struct Link {
    channel: Channel,
    /// Name and version of the program there.
    pub program: String,
}

/// What a host should come to be.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// What changes.
    pub plan: &'a Plan,
    /// What is wanted, with its contents.
    pub wanted: &'a Wanted,
    /// What the host has.
    pub present: &'a Tree,
    /// The commits that it is told; none for a part.
    pub chain: Option<&'a CommitChain>,
    /// What it waits for before it gives up the way back; none if it gives it up at once.
    pub confirmation: Option<&'a Confirmation>,
}

impl Link {
    /// Greets the far end.
    ///
    /// # Errors
    /// It is not there, or speaks no version of the protocol that this program knows.
    pub fn open(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        program: &str,
    ) -> Result<Self, LinkError> {
        let channel = Channel::near(reader, writer);
        let mut link = Self {
            channel,
            program: String::new(),
        };
        let hello = Ask::Hello {
            protocols: PROTOCOLS.to_vec(),
            program: program.to_owned(),
        };
        match link.ask(&hello)? {
            Answer::Greeting { protocol, program } if PROTOCOLS.contains(&protocol) => {
                link.program = plain(&program);
                Ok(link)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// What the host has; nothing is locked.
    ///
    /// # Errors
    /// It is no host home of the cluster, or cannot be read.
    pub fn look(&self, cluster: &ClusterId, wanted: &Tree) -> Result<Seen, LinkError> {
        seen(self.ask(&Ask::Look {
            cluster: cluster.to_string(),
            wanted: wanted.digest(),
        })?)
    }

    /// Locks the host for as long as the connection lasts; what it has.
    ///
    /// # Errors
    /// As [`Link::look`], or someone else has the lock.
    pub fn lock(
        &self,
        cluster: &ClusterId,
        wanted: &Tree,
        holder: &Holder,
    ) -> Result<Seen, LinkError> {
        seen(self.ask(&Ask::Lock {
            cluster: cluster.to_string(),
            wanted: wanted.digest(),
            holder: holder.clone(),
        })?)
    }

    /// What has become of releases, in their order.
    ///
    /// # Errors
    /// It is no host home of the cluster.
    pub fn standings(
        &self,
        cluster: &ClusterId,
        releases: &[ReleaseId],
    ) -> Result<Vec<Standing>, LinkError> {
        let ask = Ask::Standings {
            cluster: cluster.to_string(),
            releases: releases.to_vec(),
        };
        match self.ask(&ask)? {
            Answer::Standings { standings } if standings.len() == releases.len() => {
                Ok(standings.iter().map(plain_standing).collect())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Has everything staged, and the plugins tried. `sent` hears how many bytes went to the host, of how many.
    ///
    /// # Errors
    /// The host is as before.
    pub fn stage(
        &self,
        delivery: &Delivery<'_>,
        sent: &mut dyn FnMut(u64, u64),
    ) -> Result<(), LinkError> {
        let recipes = recipes(delivery)?;
        let ask = Ask::Stage {
            plan: delivery.plan.clone(),
            wanted: Box::new(delivery.wanted.tree.clone()),
            chain: delivery.chain.map(|chain| chain.hashes().to_vec()),
            recipes: recipes.clone(),
            confirmation: delivery.confirmation.cloned(),
        };
        match self.ask(&ask)? {
            Answer::Need(need) => {
                check_need(&need, delivery, &recipes)?;
                self.send(&need, delivery.wanted, &recipes, sent)?;
            }
            other => return Err(unexpected(&other)),
        }
        self.do_(&Ask::Sent)
    }

    /// Puts everything into its place.
    ///
    /// # Errors
    /// A refusal says whether the host is as before. When the connection is lost nobody knows.
    pub fn apply(&self) -> Result<(), LinkError> {
        self.do_(&Ask::Apply)
    }

    /// Writes down that the host is at these commits.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn record(&self, chain: &CommitChain, wanted: &Tree) -> Result<(), LinkError> {
        self.do_(&Ask::Record {
            chain: chain.hashes().to_vec(),
            wanted: Box::new(wanted.clone()),
        })
    }

    /// Confirms a change that was made over another connection.
    ///
    /// # Errors
    /// Nothing waits for it.
    pub fn confirm(
        &self,
        cluster: &ClusterId,
        confirmation: &Confirmation,
    ) -> Result<(), LinkError> {
        self.do_(&Ask::Confirm {
            cluster: cluster.to_string(),
            token: confirmation.token.clone(),
        })
    }

    /// Removes what is left of old releases but the newest `keep` of each pod, or only says what would go.
    ///
    /// # Errors
    /// Someone else has the lock, or it cannot be removed.
    pub fn collect(
        &self,
        cluster: &ClusterId,
        holder: &Holder,
        keep: u32,
        dry_run: bool,
    ) -> Result<Vec<ReleaseId>, LinkError> {
        let ask = Ask::Collect {
            cluster: cluster.to_string(),
            holder: holder.clone(),
            keep,
            dry_run,
        };
        match self.ask(&ask)? {
            Answer::Collected { releases } => Ok(releases),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes the directory a host home, with keys.
    ///
    /// # Errors
    /// It belongs to somebody else, or cannot be written.
    pub fn init(
        &self,
        cluster: &ClusterId,
        host: &HostName,
        takes_over: bool,
        registry_config: Option<String>,
    ) -> Result<HostKeys, LinkError> {
        keys(self.ask(&Ask::Init {
            cluster: cluster.to_string(),
            host: host.to_string(),
            takes_over,
            registry_config,
        })?)
    }

    /// Gives the host a new key, or has it forget those before the newest.
    ///
    /// # Errors
    /// The keys cannot be read or written.
    pub fn rekey(
        &self,
        cluster: &ClusterId,
        host: &HostName,
        proxy: bool,
        forget: bool,
    ) -> Result<HostKeys, LinkError> {
        keys(self.ask(&Ask::Rekey {
            cluster: cluster.to_string(),
            host: host.to_string(),
            proxy,
            forget,
        })?)
    }

    /// What went over the connection so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.channel.traffic()
    }

    fn ask(&self, ask: &Ask) -> Result<Answer, LinkError> {
        self.channel.send(&Frame::message(ask))?;
        match self.channel.receive()?.parse()? {
            Answer::Refused(refusal) => Err(Refusal {
                kind: refusal.kind,
                message: plain(&refusal.message),
                causes: refusal.causes.iter().map(|cause| plain(cause)).collect(),
            }
            .into()),
            answer => Ok(answer),
        }
    }

    fn do_(&self, ask: &Ask) -> Result<(), LinkError> {
        match self.ask(ask)? {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn send(
        &self,
        need: &Need,
        wanted: &Wanted,
        recipes: &BTreeMap<Digest, Recipe>,
        sent: &mut dyn FnMut(u64, u64),
    ) -> Result<(), LinkError> {
        let (mut done, total) = (0, total(need, wanted, recipes));
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for digest in &need.contents {
            let content = wanted.content(digest)?;
            done += content.len() as u64;
            batch_bytes += content.len();
            batch.push(content);
            if batch_bytes >= CONTENTS_BYTES_MAX {
                self.channel
                    .send(&Frame::Contents(std::mem::take(&mut batch)))?;
                batch_bytes = 0;
                sent(done, total);
            }
        }
        if !batch.is_empty() {
            self.channel.send(&Frame::Contents(batch))?;
        }
        for (digest, numbers) in &need.pieces {
            let recipe = recipes.get(digest).ok_or_else(asked_in_vain)?;
            let mut file = wanted.open(digest)?;
            for (number, bytes) in Pieces::of(&mut file, recipe) {
                if numbers.binary_search(&number).is_ok() {
                    let bytes = bytes.map_err(|source| wanted.unreadable(digest, source))?;
                    done += bytes.len() as u64;
                    self.channel.send(&Frame::Piece(bytes))?;
                    sent(done, total);
                }
            }
        }
        Ok(())
    }
}

fn seen(answer: Answer) -> Result<Seen, LinkError> {
    match answer {
        Answer::Seen(seen) => plain_seen(*seen),
        other => Err(unexpected(&other)),
    }
}

fn keys(answer: Answer) -> Result<HostKeys, LinkError> {
    match answer {
        Answer::Keys(keys) => Ok(keys),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(answer: &Answer) -> LinkError {
    let shown: String = format!("{answer:?}").chars().take(60).collect();
    WireError::Broken(format!("an answer to something else: {shown}")).into()
}
