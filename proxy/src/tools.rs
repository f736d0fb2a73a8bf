//! What all connections of one worker share: the kernel's watch on their sockets, one buffer, the pipes, and what
//! decisions are made from.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::epoll;

use crate::Patience;
use crate::event::{Event, Reporter};
use crate::metrics::Board;
use crate::peers::reception::Reception;
use crate::pipes::Pipes;
use crate::route::Memory;
use crate::socket::{INTEREST, Socket};
use crate::table::Routes;

/// How many bytes are copied at once, at most.
const BUFFER_BYTES: usize = 64 << 10;

/// Which of the sockets of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
    /// A second server, while it is not known which of the two answers first.
    Second,
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Server, Self::Second];
}

/// What a worker calls a connection. The place of one that has ended is given to another, of a later generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Key {
    /// What the kernel is to say when something happens to a socket; below 2^63.
    pub(crate) fn token(self, side: Side) -> u64 {
        let side = match side {
            Side::Client => 0,
            Side::Server => 1,
            Side::Second => 2,
        };
        (u64::from(self.generation) << 32) | (u64::from(self.index) << 2) | side
    }

    /// The way back.
    pub(crate) fn of(token: u64) -> (Self, Side) {
        let side = match token & 3 {
            0 => Side::Client,
            1 => Side::Server,
            _ => Side::Second,
        };
        let low = u32::try_from(token & u64::from(u32::MAX)).unwrap_or_default();
        let generation = u32::try_from(token >> 32).unwrap_or_default();
        let key = Self {
            index: low >> 2,
            generation,
        };
        (key, side)
    }
}

/// Random numbers, good enough to spread load (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    /// A number below `count`; 0 when that is 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap_or_default() % count.max(1)
    }
}

/// The tools of one worker.
pub(crate) struct Tools {
    pub(crate) epoll: OwnedFd,
    pub(crate) buffer: Box<[u8]>,
    pub(crate) pipes: Pipes,
    /// The routes in force.
    pub(crate) routes: Arc<Routes>,
    /// What other hosts said lately.
    pub(crate) memory: Memory,
    pub(crate) random: Random,
    pub(crate) report: Reporter,
    /// Who knows whether another proxy may ask.
    pub(crate) reception: Arc<Reception>,
    pub(crate) patience: Patience,
    /// The time at which the worker woke up.
    pub(crate) now: Instant,
    /// Cluster ports of which a backend has a place again.
    pub(crate) freed: Vec<u16>,
    /// What this worker counts.
    pub(crate) board: Arc<Board>,
    /// When the proxy began, from which all its workers count milliseconds.
    pub(crate) began: Instant,
}

impl Tools {
    pub(crate) fn new(
        report: Reporter,
        reception: Arc<Reception>,
        patience: Patience,
        began: Instant,
        board: Arc<Board>,
    ) -> io::Result<Self> {
        // What is told of connections is counted where it happens, whether or not it is told on.
        let counts = Arc::clone(&board);
        let report: Reporter = Arc::new(move |event: &Event| {
            counts.see(event);
            report(event);
        });
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            pipes: Pipes::default(),
            routes: Arc::default(),
            memory: Memory::default(),
            random: Random::new(),
            report,
            reception,
            patience,
            now: began,
            freed: Vec::new(),
            board,
            began,
        })
    }

    /// The time in milliseconds, on the clock of all workers.
    pub(crate) fn now_ms(&self) -> u64 {
        let since = self.now.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Wants to hear of a socket no more: another worker does.
    pub(crate) fn forget(&self, socket: &Socket) {
        // One that is not watched is as good as forgotten.
        let _ = epoll::delete(&self.epoll, socket);
    }

    /// From now on a socket that is watched is that side of the connection.
    pub(crate) fn rename(&self, socket: &Socket, key: Key, side: Side) -> io::Result<()> {
        let token = epoll::EventData::new_u64(key.token(side));
        Ok(epoll::modify(&self.epoll, socket, token, INTEREST)?)
    }

    /// Wants to hear of a socket until it is closed. What is possible already is told at once.
    pub(crate) fn watch(&self, socket: &Socket, key: Key, side: Side) -> io::Result<()> {
        let token = epoll::EventData::new_u64(key.token(side));
        Ok(epoll::add(&self.epoll, socket, token, INTEREST)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_both_ways() {
        for (index, generation) in [(0, 0), (1, 0), (0, 1), (u32::MAX >> 2, u32::MAX >> 1)] {
            let key = Key { index, generation };
            for side in Side::ALL {
                assert_eq!(Key::of(key.token(side)), (key, side));
            }
        }
    }

    #[test]
    fn random_numbers_are_below_their_end() {
        let mut random = Random::new();
        assert_eq!(random.below(0), 0);
        let mut seen = [0; 3];
        for _ in 0..3000 {
            seen[random.below(3)] += 1;
        }
        assert!(seen.iter().all(|count| *count > 800), "{seen:?}");
    }
}
