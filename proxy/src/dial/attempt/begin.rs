//! How an attempt begins: with a backend inside or at its host port, or with the proxy of another host.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{Attempt, Choice, Talk};
use crate::dial::entering::inside_at;
use crate::lines;
use crate::peers::link::Way;
use crate::request::Request;
use crate::socket::Socket;
use crate::table::{Lease, Peer, Slot};
use crate::tools::Tools;

impl Attempt {
    /// Begins to dial a backend of this host: at its port inside, from a socket that is there, or at its host port.
    /// `elsewhere` is one that can vanish without a word.
    pub(in crate::dial) fn slot(
        choice: Choice,
        slot: &Slot,
        lease: Lease,
        inside: Option<(u16, OwnedFd)>,
        elsewhere: bool,
        tools: &Tools,
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let is_inside = inside.is_some();
        let (address, socket) = match (inside, slot.target) {
            (Some((port, socket)), _) => {
                let address = inside_at(port);
                (address, Socket::dial_from(socket, address))
            }
            (None, Some(target)) => (target, Socket::dial(target, elsewhere)),
            // Nobody asks for that.
            (None, None) => (inside_at(0), Err(io::ErrorKind::AddrNotAvailable.into())),
        };
        let socket = socket.map_err(|error| (address, error))?;
        let manner = slot.manner();
        let talk = Talk::Backend { manner, is_inside };
        Ok(Self {
            backend: slot.name(),
            lease: Some(lease),
            has_other_way: is_inside && slot.target.is_some(),
            ..Self::new(choice, address, socket, talk, tools.now)
        })
    }

    /// Begins to ask the proxy of another host; none when there will be a way to it soon.
    pub(in crate::dial) fn peer(
        choice: Choice,
        peer: &Peer,
        port: u16,
        who: impl Fn() -> io::Result<(SocketAddr, SocketAddr)>,
        tools: &Tools,
    ) -> io::Result<Option<Self>> {
        let (client, destination) = who()?;
        let begin = |socket, talk| Self::new(choice, peer.address, socket, talk, tools.now);
        let Some(link) = &peer.link else {
            let line = lines::request(client, destination.ip(), port);
            let socket = Socket::dial(peer.address, true)?;
            return Ok(Some(begin(socket, Talk::Line(line.into_bytes()))));
        };
        let request = Request {
            port,
            client,
            destination,
        };
        let request = request.to_bytes();
        let is_lively = link.is_lively(tools.now);
        let begin = |socket, talk| Self {
            is_lively,
            link: Some(Arc::clone(link)),
            ..begin(socket, talk)
        };
        match link.way(matches!(choice, Choice::Peer(_))) {
            Way::Ready(spare) => {
                let socket = Socket::connected(spare.socket, spare.records);
                Ok(Some(Self {
                    has_other_way: true,
                    is_connected: true,
                    ..begin(socket, Talk::Request(request.to_vec(), 0))
                }))
            }
            Way::New(ticket) => {
                let socket = Socket::dial(peer.address, true)?;
                let opening = [ticket.as_slice(), &request].concat();
                Ok(Some(begin(socket, Talk::Request(opening, 0))))
            }
            Way::Later => Ok(None),
        }
    }
}
