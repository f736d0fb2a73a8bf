//! Opens and closes ports while the proxy runs.
//!
//! Told which ports are wanted, it opens what is missing and closes what is too much; a port that
//! cannot be opened is reported and tried again the next time. Connections that were taken already
//! outlive their port. This module must not know why a port is wanted.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt,
};

use crate::connection::Entrance;
use crate::event::{Event, PortNews, Reporter};
use crate::frozen::{Descriptors, FrozenDoor};
use crate::socket::{keep_alive, prepare};
use crate::worker::Door;
use crate::workers::Workers;

/// How many connections may wait to be taken, per port; the kernel may allow less.
const BACKLOG: i32 = 4096;

/// The open ports of a proxy.
pub(crate) struct Listeners {
    report: Reporter,
    open: HashMap<(SocketAddr, Entrance), Open>,
    failed: BTreeMap<SocketAddr, String>,
    opened: u32,
    /// Ports that another program has opened, until there is something to do with who comes there.
    resting: Vec<(FrozenDoor, OwnedFd)>,
}

/// An open port.
struct Open {
    listener: Arc<OwnedFd>,
    /// Where it is, which is not what was asked for when that was port 0.
    address: SocketAddr,
    door: u32,
}

impl Listeners {
    pub(crate) fn new(report: Reporter) -> Self {
        Self {
            report,
            open: HashMap::new(),
            failed: BTreeMap::new(),
            opened: 0,
            resting: Vec::new(),
        }
    }

    /// Makes the open ports equal to the wanted ones, as far as possible.
    pub(crate) async fn apply(
        &mut self,
        wanted: &BTreeMap<SocketAddr, Entrance>,
        workers: &Workers,
    ) {
        for (door, listener) in std::mem::take(&mut self.resting) {
            let place = (door.wanted, door.entrance);
            self.listen(place, door.address, Arc::new(listener), workers);
        }
        let closing: Vec<_> = self
            .open
            .keys()
            .copied()
            .filter(|(address, entrance)| wanted.get(address) != Some(entrance))
            .collect();
        for key in closing {
            self.close(key, workers);
        }
        // A port is free when all workers have let go of it.
        workers.confirmed().await;
        self.failed
            .retain(|address, _| wanted.contains_key(address));
        for (address, entrance) in wanted {
            if !self.open.contains_key(&(*address, *entrance)) {
                self.open(*address, *entrance, workers);
            }
        }
        workers.confirmed().await;
    }

    /// The ports that are open, by what they are for.
    pub(crate) fn listening(&self) -> BTreeMap<SocketAddr, Entrance> {
        self.open
            .iter()
            .map(|((_, entrance), open)| (open.address, *entrance))
            .collect()
    }

    /// The ports that cannot be opened, and why.
    pub(crate) fn failed(&self) -> &BTreeMap<SocketAddr, String> {
        &self.failed
    }

    fn open(&mut self, wanted: SocketAddr, entrance: Entrance, workers: &Workers) {
        match listener(wanted) {
            Ok((address, listener)) => {
                (self.report)(&Event::Port(address, PortNews::Opened));
                self.failed.remove(&wanted);
                self.listen((wanted, entrance), address, Arc::new(listener), workers);
            }
            Err(error) => {
                let why = error.to_string();
                if self.failed.get(&wanted) != Some(&why) {
                    (self.report)(&Event::Port(wanted, PortNews::CannotOpen(why.clone())));
                    self.failed.insert(wanted, why);
                }
            }
        }
    }

    /// Has the workers accept what comes to a socket that listens.
    fn listen(
        &mut self,
        (wanted, entrance): (SocketAddr, Entrance),
        address: SocketAddr,
        listener: Arc<OwnedFd>,
        workers: &Workers,
    ) {
        self.opened = self.opened.wrapping_add(1) & (u32::MAX >> 1);
        let door = self.opened;
        workers.open_door(&Door {
            id: door,
            listener: Arc::clone(&listener),
            address,
            entrance,
        });
        let open = Open {
            listener,
            address,
            door,
        };
        self.open.insert((wanted, entrance), open);
    }

    /// The open ports, for another program.
    pub(crate) fn freeze(&self, descriptors: &mut Descriptors) -> io::Result<Vec<FrozenDoor>> {
        let frozen = self.open.iter().map(|((wanted, entrance), open)| {
            Ok(FrozenDoor {
                wanted: *wanted,
                address: open.address,
                entrance: *entrance,
                listener: descriptors.put(open.listener.try_clone()?),
            })
        });
        frozen.collect()
    }

    /// Goes on with ports that another program has opened, the next time that it is said what is wanted.
    pub(crate) fn thaw(
        &mut self,
        doors: Vec<FrozenDoor>,
        descriptors: &mut Descriptors,
    ) -> io::Result<()> {
        for door in doors {
            let listener = descriptors.take(door.listener)?;
            self.resting.push((door, listener));
        }
        Ok(())
    }

    fn close(&mut self, key: (SocketAddr, Entrance), workers: &Workers) {
        if let Some(open) = self.open.remove(&key) {
            workers.close_door(open.door);
            (self.report)(&Event::Port(open.address, PortNews::Closed));
        }
    }
}

/// A listening socket, and where it listens.
fn listener(address: SocketAddr) -> io::Result<(SocketAddr, OwnedFd)> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // Old connections in TIME_WAIT must not keep a restarted proxy from its ports.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    prepare(socket.as_fd())?;
    keep_alive(socket.as_fd())?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    let own = SocketAddr::try_from(getsockname(&socket)?);
    Ok((own.unwrap_or(address), socket))
}
