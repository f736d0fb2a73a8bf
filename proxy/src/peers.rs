//! The proxies of the other hosts: which there are, whom this one believes, and what each has to offer.
//!
//! ```text
//! peers.conf, own keys ─▶ Peers ─▶ a Caller for each of them ─▶ its Link ◀─ workers look, and take connections
//!                           └────▶ a Porter ◀─ those who call, and are told the Offers
//! ```
//!
//! Runs beside the keeper. Nothing here carries a client's bytes.

pub mod announce;
mod call;
mod identity;
mod lines;
pub(crate) mod link;
pub mod message;
pub(crate) mod reception;
pub mod ticket;
pub mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Instant;

use hostfiles::PeerKey;
use proxykeys::ProxyKeys;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::announce::Offers;
use self::call::Caller;
use self::identity::{Identity, Known};
use self::link::Link;
use self::reception::{Carry, Credentials, Porter, Reception, Stranger};
use crate::event::Reporter;

/// Whom a proxy should know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acquaintance {
    /// By which it proves who it is; without keys it talks with nobody.
    pub(crate) keys: Option<ProxyKeys>,
    /// The others that it may ask, and their keys.
    pub(crate) asked: BTreeMap<SocketAddr, Vec<PeerKey>>,
    /// All whom it believes, by their keys.
    pub(crate) believed: BTreeMap<SocketAddr, Vec<PeerKey>>,
    /// What is asked of others goes over TLS.
    pub(crate) sealed: bool,
}

/// What has to be the same for a conversation to go on.
#[derive(Debug, PartialEq, Eq)]
struct Terms {
    own: Vec<PeerKey>,
    theirs: Vec<PeerKey>,
    sealed: bool,
}

/// All of them; they are left when this is dropped.
pub(crate) struct Peers {
    callers: BTreeMap<SocketAddr, (Terms, Arc<Link>, JoinHandle<()>)>,
    identity: Option<Arc<Identity>>,
    known: Arc<Known>,
    credentials: watch::Sender<Credentials>,
    offers: watch::Sender<Arc<Offers>>,
    reception: Arc<Reception>,
    porter: JoinHandle<()>,
    report: Reporter,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Peers {
    /// Begins to greet those who come. `carry` takes what they open over TLS, `wake` has those look again who wait
    /// for a place.
    pub(crate) fn start(
        (reception, arrived): (Arc<Reception>, mpsc::Receiver<Stranger>),
        carry: Carry,
        wake: Arc<dyn Fn() + Send + Sync>,
        report: Reporter,
    ) -> Self {
        let (credentials, credentials_seen) = watch::channel(Credentials::default());
        let (offers, offers_seen) = watch::channel(Arc::default());
        let porter = Porter {
            reception: Arc::clone(&reception),
            credentials: credentials_seen,
            offers: offers_seen,
            carry,
            report: Arc::clone(&report),
            began: Instant::now(),
        };
        Self {
            callers: BTreeMap::new(),
            identity: None,
            known: Arc::default(),
            credentials,
            offers,
            reception,
            porter: tokio::spawn(porter.run(arrived)),
            report,
            wake,
        }
    }

    /// From now on this proxy knows these. What has not changed goes on undisturbed.
    pub(crate) fn know(&mut self, wanted: &Acquaintance) -> Result<(), rustls::Error> {
        self.introduce(wanted)?;
        let own = self.identity.as_ref().map(|own| own.public());
        let terms = |theirs: &Vec<PeerKey>| Terms {
            own: own.clone().unwrap_or_default(),
            theirs: theirs.clone(),
            sealed: wanted.sealed,
        };
        let Some(identity) = self.identity.clone() else {
            self.leave(|_| false);
            return Ok(());
        };
        self.leave(|address| wanted.asked.contains_key(address));
        for (address, theirs) in &wanted.asked {
            let terms = terms(theirs);
            let before = self.callers.get(address);
            if before.is_some_and(|(known, ..)| *known == terms) {
                continue;
            }
            // What was known stays known while a conversation is begun anew, on other terms.
            let link = Arc::new(Link::new(
                *address,
                wanted.sealed,
                before.map(|(_, link, _)| link.as_ref()),
                theirs,
            ));
            if let Some((_, _, task)) = before {
                task.abort();
            }
            let caller = Caller {
                link: Arc::clone(&link),
                identity: Arc::clone(&identity),
                theirs: theirs.clone(),
                report: Arc::clone(&self.report),
                key: AtomicUsize::new(0),
                nonsense: AtomicBool::new(false),
                wake: Arc::clone(&self.wake),
            };
            let task = tokio::spawn(caller.run());
            self.callers.insert(*address, (terms, link, task));
        }
        Ok(())
    }

    fn leave(&mut self, stays: impl Fn(&SocketAddr) -> bool) {
        self.callers.retain(|address, (_, _, task)| {
            let stays = stays(address);
            if !stays {
                task.abort();
            }
            stays
        });
    }

    /// Who this proxy is, and whom it believes.
    fn introduce(&mut self, wanted: &Acquaintance) -> Result<(), rustls::Error> {
        let own: Vec<PeerKey> = wanted.keys.iter().flat_map(ProxyKeys::public).collect();
        let keys = wanted.believed.iter();
        let keys = keys.flat_map(|(address, keys)| keys.iter().map(|key| (*key, *address)));
        let known = Known(keys.collect());
        let before = self.identity.as_ref().map(|own| own.public());
        if before.unwrap_or_default() == own && *self.known == known {
            return Ok(());
        }
        let identity = wanted.keys.as_ref().map(Identity::new).transpose()?;
        self.known = Arc::new(known);
        self.reception.believe_only(&self.known);
        let server = identity
            .as_ref()
            .map(|identity| identity.server(Arc::clone(&self.known)))
            .transpose()?;
        self.identity = identity.map(Arc::new);
        self.credentials.send_replace(Credentials {
            server: server.map(Arc::new),
            known: Arc::clone(&self.known),
        });
        Ok(())
    }

    /// What is known of the proxy there; none when this one does not talk with it.
    pub(crate) fn link(&self, address: SocketAddr) -> Option<Arc<Link>> {
        let (_, link, _) = self.callers.get(&address)?;
        Some(Arc::clone(link))
    }

    /// What this host offers from now on.
    pub(crate) fn offer(&self, offers: Offers) {
        self.offers.send_if_modified(|before| {
            let changed = **before != offers;
            if changed {
                *before = Arc::new(offers);
            }
            changed
        });
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.porter.abort();
        for (_, _, task) in self.callers.values() {
            task.abort();
        }
    }
}
