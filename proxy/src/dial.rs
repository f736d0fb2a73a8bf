//! Finds a backend for one client: on this host first, then on the others.
//!
//! Follows the orders of `route`, tells what failed, and remembers what other hosts said. It must not
//! touch the client's own bytes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::event::{Event, Reporter};
use crate::header::Header;
use crate::relay::{self, Refusal};
use crate::route::{self, Load, Memory, Verdict};
use crate::socket;
use crate::table::{Lease, Routes};

/// How long to dial a backend on this host.
const DIAL_MAX: Duration = Duration::from_secs(1);

/// A connected backend.
pub(crate) struct Target {
    pub(crate) stream: TcpStream,
    /// Whether it wants a PROXY header.
    pub(crate) send_proxy: bool,
    /// What it has said already.
    pub(crate) first: Vec<u8>,
    /// Its place, when it is on this host.
    pub(crate) lease: Option<Lease>,
}

/// Why there is no backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// There are some, and those that could be reached are full.
    Busy,
    /// None answers.
    Nothing,
}

impl Missed {
    /// Both were tried, and neither served.
    fn and(self, other: Self) -> Self {
        if self == Self::Busy { self } else { other }
    }
}

/// What dialling needs to know besides the routes.
pub(crate) struct Dialler {
    pub(crate) report: Reporter,
    memory: Mutex<Memory>,
}

impl Dialler {
    pub(crate) fn new(report: Reporter) -> Self {
        Self {
            report,
            memory: Mutex::default(),
        }
    }

    /// A backend on this host.
    pub(crate) async fn local(&self, routes: &Routes, port: u16) -> Result<Target, Missed> {
        let slots = routes.slots(port);
        let loads: Vec<Load> = slots.iter().map(crate::table::Slot::load).collect();
        let mut missed = Missed::Nothing;
        for slot in route::backends(&loads, &mut random())
            .into_iter()
            .filter_map(|index| slots.get(index))
        {
            let Some(lease) = slot.lease() else {
                missed = Missed::Busy;
                continue;
            };
            match socket::dial(slot.target, DIAL_MAX).await {
                Ok(stream) => {
                    let (send_proxy, first) = (slot.send_proxy, Vec::new());
                    return Ok(Target {
                        stream,
                        send_proxy,
                        first,
                        lease: Some(lease),
                    });
                }
                Err(error) => (self.report)(&Event::BackendFailed(port, slot.target, error)),
            }
        }
        Err(missed)
    }

    /// A backend on this host or, if there is none, on another one. `header` tells the client and the
    /// cluster port.
    pub(crate) async fn anywhere(
        &self,
        routes: &Routes,
        port: u16,
        header: &Header,
    ) -> Result<Target, Missed> {
        let mut missed = match self.local(routes, port).await {
            Ok(target) => return Ok(target),
            Err(missed) => missed,
        };
        for peer in self.peers(routes, port) {
            let (verdict, failure) = match relay::ask(peer, header).await {
                Ok(granted) => {
                    self.note(port, peer, Verdict::Served);
                    let relay::Granted {
                        stream,
                        send_proxy,
                        first,
                    } = granted;
                    return Ok(Target {
                        stream,
                        send_proxy,
                        first,
                        lease: None,
                    });
                }
                Err(Refusal::Busy) => (Verdict::Busy, Missed::Busy),
                Err(Refusal::Nothing) => (Verdict::Nothing, Missed::Nothing),
                Err(Refusal::Failed(error)) => {
                    (self.report)(&Event::PeerFailed(port, peer, error));
                    (Verdict::Unreachable, Missed::Nothing)
                }
            };
            self.note(port, peer, verdict);
            missed = missed.and(failure);
        }
        Err(missed)
    }

    /// Drops what other hosts said too long ago.
    pub(crate) fn forget_old(&self) {
        self.memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .forget_old(Instant::now());
    }

    fn peers(&self, routes: &Routes, port: u16) -> Vec<SocketAddr> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let known: Vec<_> = routes
            .peers
            .iter()
            .map(|peer| memory.recall(port, *peer, now))
            .collect();
        let order = route::peers(&known, &mut random());
        order
            .into_iter()
            .filter_map(|index| routes.peers.get(index).copied())
            .collect()
    }

    fn note(&self, port: u16, peer: SocketAddr, verdict: Verdict) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.note(port, peer, verdict, Instant::now());
    }
}

/// A fresh source of random numbers, good enough to spread load: the standard library's random keys.
fn random() -> impl FnMut(usize) -> usize {
    let keys = RandomState::new();
    let mut calls = 0_u64;
    move |count| {
        calls += 1;
        let below = count.max(1) as u64;
        usize::try_from(keys.hash_one(calls) % below).unwrap_or(0)
    }
}
