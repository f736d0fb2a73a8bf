//! The ports at which a worker accepts connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

use super::{Worker, index};
use crate::connection::{Connection, Entrance};
use crate::event::{Event, PortNews};
use crate::socket::Socket;
use crate::tools::{Key, Side, Tools};

/// What it says of a door: this and the door's number.
pub(super) const DOOR: u64 = 1 << 63;
/// How many connections are accepted at a door before others have their turn.
const ACCEPTS_MAX: usize = 64;
/// Pause after a connection could not be taken (mostly: no file descriptor left), lest the worker spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that connections are accepted from.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) id: u32,
    pub(crate) listener: Arc<OwnedFd>,
    pub(crate) address: SocketAddr,
    pub(crate) entrance: Entrance,
}

/// A door, and until when it rests.
pub(super) struct Watched {
    door: Door,
    /// Until then nobody is accepted there.
    pub(super) rests: Option<Instant>,
}

impl Worker {
    pub(super) fn accept(&mut self, id: u32) {
        let Some(door) = self.doors.get(&id).map(|watched| watched.door.clone()) else {
            return;
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        for _ in 0..ACCEPTS_MAX {
            match acceptfrom_with(&door.listener, flags) {
                Ok((socket, from)) => {
                    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
                    self.take(door.entrance, socket, from);
                }
                // Such a client left before it was taken.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(error) => return self.rest(&door, error.into()),
            }
        }
    }

    /// Carries a client from now on.
    fn take(&mut self, entrance: Entrance, socket: OwnedFd, from: Option<SocketAddr>) {
        let Some(from) = from else { return };
        let client = Socket::accepted(socket);
        match entrance {
            Entrance::Cluster(port) => self.tools.board.port(port).accepts.count(),
            // It is counted when it has asked for something.
            Entrance::Relay => {}
        }
        let connection = Connection::new(entrance, client, from, &mut self.tools);
        self.counts.open.fetch_add(1, Ordering::Relaxed);
        self.carry(connection);
    }

    /// Somebody at the port for proxies wants to prove himself.
    pub(super) fn show_in(&mut self, key: Key) {
        if let Some(mut place) = self.places.try_remove(index(key)) {
            if let Some(client) = place.connection.socket(Side::Client) {
                self.tools.forget(client);
            }
            self.counts.open.fetch_sub(1, Ordering::Relaxed);
            let stranger = place.connection.into_stranger();
            let from = stranger.1;
            let is_closed = self.tools.reception.is_closed();
            if !self.tools.reception.greet(stranger) && !is_closed {
                let why = io::Error::other("too many call at the same time");
                (self.tools.report)(&Event::Stranger(from, why));
            }
        }
    }

    /// Leaves a door alone for a while.
    fn rest(&mut self, door: &Door, error: io::Error) {
        (self.tools.report)(&Event::Port(door.address, PortNews::CannotAccept(error)));
        // Not watched is as good as not there.
        let _ = epoll::delete(&self.tools.epoll, &door.listener);
        if let Some(watched) = self.doors.get_mut(&door.id) {
            watched.rests = Some(self.tools.now + ACCEPT_PAUSE);
        }
    }

    pub(super) fn open_door(&mut self, door: Door) {
        let rests = watch_door(&self.tools, &door).err().map(|_| self.tools.now);
        self.doors.insert(door.id, Watched { door, rests });
    }

    pub(super) fn close_door(&mut self, id: u32) {
        if let Some(watched) = self.doors.remove(&id) {
            // One that rests is not watched.
            let _ = epoll::delete(&self.tools.epoll, &watched.door.listener);
        }
    }

    /// Opens doors that have rested.
    pub(super) fn reopen_doors(&mut self) {
        let now = self.tools.now;
        for watched in self.doors.values_mut() {
            if watched.rests.is_some_and(|until| until <= now) {
                watched.rests = watch_door(&self.tools, &watched.door)
                    .err()
                    .map(|_| now + ACCEPT_PAUSE);
            }
        }
    }
}

/// Of several workers one is woken for a connection.
fn watch_door(tools: &Tools, door: &Door) -> rustix::io::Result<()> {
    let token = epoll::EventData::new_u64(DOOR | u64::from(door.id));
    let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
    epoll::add(&tools.epoll, &door.listener, token, flags)
}
