//! The server behind the proxies that are measured: gives back what it gets, sends for as long as it is heard, or
//! speaks first.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, bind, getsockname,
    listen, recv, send, socket_with, sockopt,
};

/// What one read or write takes at most.
const BUFFER_BYTES: usize = 256 << 10;
/// How soon it notices that it is to end.
const PAUSE: Duration = Duration::from_millis(50);
/// How many may wait until they are accepted.
pub(super) const BACKLOG: i32 = 4096;
/// What is said first, in two pieces.
pub(super) const GREETING: [&str; 2] = ["220 here\r\n", "250 and there\r\n"];
const LISTENER: u64 = u64::MAX;

/// What it does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Service {
    /// Gives back what it gets.
    Echo,
    /// Sends without end.
    Blast,
    /// Speaks first, and then no more.
    Greet,
}

/// A server that ends when it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// One with a port of its own on loopback.
    pub(super) fn start(service: Service) -> Result<Self> {
        Self::start_at(service, 0, BACKLOG)
    }

    /// One on this port, where so many may wait until they are accepted.
    pub(super) fn start_at(service: Service, port: u16, backlog: i32) -> Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&listener, true)?;
        bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        listen(&listener, backlog)?;
        let address = SocketAddr::try_from(getsockname(&listener)?)?;
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let mut serving = Serving::new(service, listener)?;
        let thread = thread::Builder::new()
            .name("server".into())
            .spawn(move || {
                let mut words = Vec::with_capacity(256);
                while !told.load(Ordering::Relaxed) && serving.turn(&mut words).is_ok() {}
            })
            .context("cannot start the server")?;
        Ok(Self {
            address,
            ends,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has told its panic itself.
            let _ = thread.join();
        }
    }
}

struct Serving {
    service: Service,
    epoll: OwnedFd,
    listener: OwnedFd,
    connections: HashMap<u64, OwnedFd>,
    taken: u64,
    buffer: Vec<u8>,
}

impl Serving {
    fn new(service: Service, listener: OwnedFd) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        watch(&epoll, &listener, LISTENER, epoll::EventFlags::IN)?;
        Ok(Self {
            service,
            epoll,
            listener,
            connections: HashMap::new(),
            taken: 0,
            buffer: vec![7; BUFFER_BYTES],
        })
    }

    fn turn(&mut self, words: &mut Vec<epoll::Event>) -> Result<()> {
        let pause = Timespec::try_from(PAUSE)?;
        words.clear();
        match epoll::wait(&self.epoll, spare_capacity(words), Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for word in words {
            match word.data.u64() {
                LISTENER => self.accept()?,
                id => self.serve(id),
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok(socket) = accept_with(&self.listener, flags) {
            let wanted = match self.service {
                Service::Echo | Service::Greet => epoll::EventFlags::IN,
                Service::Blast => epoll::EventFlags::OUT,
            };
            if self.service == Service::Greet {
                for piece in GREETING {
                    // Who has left already is noticed when it is read.
                    let _ = send(&socket, piece.as_bytes(), SendFlags::NOSIGNAL);
                }
            }
            self.taken += 1;
            watch(&self.epoll, &socket, self.taken, wanted)?;
            self.connections.insert(self.taken, socket);
        }
        Ok(())
    }

    fn serve(&mut self, id: u64) {
        let Some(socket) = self.connections.get(&id) else {
            return;
        };
        let goes_on = match self.service {
            Service::Blast => match send(socket, &self.buffer, SendFlags::NOSIGNAL) {
                Ok(_) | Err(Errno::AGAIN) => true,
                Err(_) => false,
            },
            Service::Greet => {
                let heard = recv(socket, self.buffer.as_mut_slice(), RecvFlags::empty());
                matches!(heard, Ok((1.., _)) | Err(Errno::AGAIN))
            }
            Service::Echo => match recv(socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((0, _)) => false,
                // What is asked here fits into every socket.
                Ok((count, _)) => self.buffer.get(..count).is_some_and(|bytes| {
                    send(socket, bytes, SendFlags::NOSIGNAL).is_ok_and(|sent| sent == count)
                }),
                Err(Errno::AGAIN) => true,
                Err(_) => false,
            },
        };
        if !goes_on {
            self.connections.remove(&id);
        }
    }
}

/// Wants to hear of a socket.
pub(super) fn watch(
    epoll: &OwnedFd,
    socket: impl AsFd,
    id: u64,
    wanted: epoll::EventFlags,
) -> Result<()> {
    Ok(epoll::add(
        epoll,
        socket,
        epoll::EventData::new_u64(id),
        wanted,
    )?)
}
