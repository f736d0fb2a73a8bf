//! The clients of the proxies that are measured: they ask and wait for the answer, on connections that stay or on
//! a new one each time, or they only listen.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
    sockopt,
};

use super::server::watch;

/// What one read takes at most.
const BUFFER_BYTES: usize = 256 << 10;
/// How often the clock is looked at when nothing comes.
const PAUSE: Duration = Duration::from_millis(20);

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Asks again and again on one connection.
    Ask,
    /// Asks once on each connection.
    Connect,
    /// Listens to what is sent without end.
    Listen,
}

/// So many clients for so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) kind: Kind,
    pub(super) clients: usize,
    /// The length of a question.
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Answers, connections or bytes.
    pub(super) done: u64,
    pub(super) took: Duration,
    /// How long each answer took.
    waits: Vec<Duration>,
    /// Connections that broke off.
    pub(super) broken: u64,
}

impl Outcome {
    /// So many a second.
    pub(super) fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate is a rounded figure")]
        let done = self.done as f64;
        done / self.took.as_secs_f64()
    }

    /// The wait that this part of the answers did not exceed.
    pub(super) fn wait(&mut self, part: f64) -> Duration {
        self.waits.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list, not above its length"
        )]
        let place = (self.waits.len() as f64 * part) as usize;
        let last = self.waits.len().saturating_sub(1);
        self.waits.get(place.min(last)).copied().unwrap_or_default()
    }
}

struct Client {
    socket: OwnedFd,
    /// When the question was sent.
    asked: Option<Instant>,
    heard: usize,
}

struct Clients {
    load: Load,
    at: SocketAddr,
    epoll: OwnedFd,
    all: Vec<Client>,
    question: Vec<u8>,
    buffer: Vec<u8>,
    outcome: Outcome,
}

/// Runs a load against an address.
pub(super) fn run(load: Load, at: SocketAddr) -> Result<Outcome> {
    let mut clients = Clients {
        load,
        at,
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        all: Vec::new(),
        question: vec![b'q'; load.bytes],
        buffer: vec![0; BUFFER_BYTES],
        outcome: Outcome::default(),
    };
    for id in 0..load.clients {
        let client = clients.dial(id)?;
        clients.all.push(client);
    }
    let began = Instant::now();
    let mut words = Vec::with_capacity(256);
    while began.elapsed() < load.time {
        words.clear();
        let pause = Timespec::try_from(PAUSE)?;
        match epoll::wait(&clients.epoll, spare_capacity(&mut words), Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for word in &words {
            clients.turn(usize::try_from(word.data.u64())?, word.flags)?;
        }
    }
    clients.outcome.took = began.elapsed();
    ensure!(
        clients.outcome.done > 0,
        "nothing was answered by {at} within {:?}",
        load.time
    );
    Ok(clients.outcome)
}

impl Clients {
    fn dial(&self, id: usize) -> Result<Client> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &self.at) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let wanted = match self.load.kind {
            Kind::Listen => epoll::EventFlags::IN,
            Kind::Ask | Kind::Connect => {
                epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET
            }
        };
        watch(&self.epoll, &socket, u64::try_from(id)?, wanted)?;
        Ok(Client {
            socket,
            asked: None,
            heard: 0,
        })
    }

    fn turn(&mut self, id: usize, flags: epoll::EventFlags) -> Result<()> {
        let Some(client) = self.all.get_mut(id) else {
            return Ok(());
        };
        if self.load.kind == Kind::Listen {
            // What is only counted need not be copied.
            if let Ok((_, count)) =
                recv(&client.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC)
            {
                self.outcome.done += u64::try_from(count)?;
            }
            return Ok(());
        }
        if client.asked.is_none() && flags.contains(epoll::EventFlags::OUT) {
            // The time of a connection counts from before it was dialled; that of a question from now on.
            client.asked = Some(Instant::now());
            return self.ask(id);
        }
        if !flags.contains(epoll::EventFlags::IN) {
            return Ok(());
        }
        match recv(
            &client.socket,
            self.buffer.as_mut_slice(),
            RecvFlags::empty(),
        ) {
            Ok((count, _)) if count > 0 => client.heard += count,
            Err(Errno::AGAIN) => return Ok(()),
            Ok(_) | Err(_) => {
                self.outcome.broken += 1;
                return self.again(id);
            }
        }
        if client.heard < self.load.bytes {
            return Ok(());
        }
        client.heard = 0;
        let asked = client.asked.replace(Instant::now());
        self.outcome.done += 1;
        self.outcome
            .waits
            .extend(asked.map(|asked| asked.elapsed()));
        match self.load.kind {
            Kind::Connect => self.again(id),
            Kind::Ask | Kind::Listen => self.ask(id),
        }
    }

    fn ask(&mut self, id: usize) -> Result<()> {
        if let Some(client) = self.all.get(id) {
            // One that broke off is told when it is read.
            let _ = send(&client.socket, &self.question, SendFlags::NOSIGNAL);
        }
        Ok(())
    }

    fn again(&mut self, id: usize) -> Result<()> {
        let client = self.dial(id)?;
        if let Some(place) = self.all.get_mut(id) {
            *place = client;
        }
        Ok(())
    }
}
